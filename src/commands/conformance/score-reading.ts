import { type CaseScore, scoreCase } from '../../core/conformance.ts';
import { compareStamps } from '../../core/conformance-stamps.ts';
import type { Truth } from '../../core/truth.ts';
import type { Client, Reading } from './client.ts';

/** Holds what a client left behind against the log of its server; `asked`: requests that it was told to send. */
export function scoreReading(
  { meanings }: Client,
  { told, chosen, stamped }: Reading,
  truth: Truth,
  asked: number,
  otherWorkRatio: number | null,
): CaseScore {
  const stamps = stamped === null ? null : compareStamps(truth, stamped);
  return scoreCase({ truth, told, meanings, chosen, asked, stamps, otherWorkRatio });
}
