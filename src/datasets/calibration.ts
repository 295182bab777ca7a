import { BenchError, EXIT } from '../core/errors.ts';
import type { Calibration, Probe } from './prepare.ts';

/** The straight line through what a server counted for two probes. */
export function fitCalibration(
  probes: readonly [Probe, Probe],
  promptTokens: readonly [number, number],
): Calibration {
  const slope = (promptTokens[1] - promptTokens[0]) / (probes[1].tokens - probes[0].tokens);
  if (!(slope > 0)) {
    throw new BenchError(
      EXIT.target,
      `the server counted ${promptTokens[0]} tokens for a prompt of ${probes[0].tokens} and ${promptTokens[1]} for one of ${probes[1].tokens}`,
      'its prompt_tokens cannot be trusted: use --isl-counts content',
    );
  }
  return { slope, interceptTokens: promptTokens[0] - slope * probes[0].tokens };
}
