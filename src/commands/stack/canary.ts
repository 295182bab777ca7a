import { errorText } from '../../core/errors.ts';
import { startClock } from '../../host/clock.ts';
import type { CanaryProbe, ProbeResult } from '../../stack/launch/probe.ts';
import { parseAccess, parseTimeouts } from '../arguments.ts';
import { Connection } from '../connect.ts';
import { TARGET_OPTIONS, type TargetArgs } from '../target-options.ts';

/** Longest wait for the first token of a canary, and for the whole of it. */
const CANARY_LIMIT = '60s';

/** What `bench check --url` would be told. */
function targetArgs(url: string): TargetArgs {
  return {
    url: [url],
    path: undefined,
    query: [],
    model: undefined,
    server: 'auto',
    endpoint: TARGET_OPTIONS.endpoint.default,
    'api-key': undefined,
    header: [],
    'extra-body': undefined,
    omit: [],
    cacert: undefined,
    cert: undefined,
    key: undefined,
    wire: 'socket',
    'connection-per-request': false,
    'timeout-connect': TARGET_OPTIONS['timeout-connect'].default,
    'timeout-first': CANARY_LIMIT,
    'timeout-idle': CANARY_LIMIT,
    'timeout-total': CANARY_LIMIT,
  };
}

/**
 * Streams the canary's requests through the measuring client, one after another: a stack is ready when
 * tokens flow, not when a port is open. Never rejects.
 */
export async function streamCanary(probe: CanaryProbe, signal: AbortSignal): Promise<ProbeResult> {
  let connection: Connection | null = null;
  try {
    const args = targetArgs(probe.url);
    const access = parseAccess(args);
    connection = new Connection(
      {
        urls: [probe.url],
        model: probe.model,
        endpoint: args.endpoint,
        server: args.server,
        wire: 'socket',
        connectionPerRequest: false,
        timeouts: parseTimeouts(args),
        extraBody: {},
      },
      access,
      startClock(),
      signal,
    );
    let ttftMs = 0;
    for (let nth = 1; nth <= probe.requests; nth++) {
      const { finished } = await connection.ask(probe.model, new Set(), probe.prompt, probe.maxTokens);
      const { outcome, detail, osl, chunkUs, firstAtMs, sentAtMs } = finished.record;
      if (outcome !== 'good') return { holds: false, said: `canary ${nth}: ${outcome}: ${detail}` };
      const tokens = Math.max(osl.counted ?? 0, chunkUs.length);
      if (tokens < probe.leastTokens) {
        return {
          holds: false,
          said: `canary ${nth}: ${tokens} tokens, at least ${probe.leastTokens} wanted`,
        };
      }
      ttftMs = firstAtMs === null ? ttftMs : firstAtMs - sentAtMs;
    }
    return {
      holds: true,
      said: `${probe.requests} of ${probe.requests} canary requests streamed, TTFT of the last ${ttftMs.toFixed(0)} ms`,
    };
  } catch (error) {
    return { holds: false, said: `canary: ${errorText(error)}` };
  } finally {
    await connection?.close();
  }
}
