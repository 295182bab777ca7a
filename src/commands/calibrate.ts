import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Calibration } from '../core/audit-facts.ts';
import { sum } from '../core/distribution.ts';
import type { RequestRecord } from '../core/record.ts';
import type { LevelReport } from '../core/report.ts';
import { newRequestIds } from '../core/request-ids.ts';
import type { Prompt, RunSpec, TimeoutSpec } from '../core/spec.ts';
import { clockShiftMs, stampErrors } from '../core/stamp-error.ts';
import { readTruth } from '../core/truth.ts';
import { parseTarget } from '../endpoints/target.ts';
import { startClock } from '../host/clock.ts';
import { Connection } from './connect.ts';
import { startMockProcess } from './mock-process.ts';

/** Events flow for so long. With the mock's start it takes about a second more. */
const LENGTH_MS = 1_500;
/** With `auto`, shorter levels are left alone, so that no run takes a tenth longer. */
const AUTO_FROM_S = 20;
/** Each stream has at least so many events, so that a slow one takes no longer. */
const FEWEST_EVENTS = 4;
const MODEL = 'mock';
/** A host that is too slow for its own mock is not waited for. */
const TIMEOUTS: TimeoutSpec = { connectMs: 2_000, firstMs: 5_000, idleMs: 5_000, totalMs: 10_000 };

/** What a calibration is made like. */
interface Load {
  readonly concurrency: number;
  /** Between two events of a stream. */
  readonly stepMs: number;
  readonly events: number;
}

/** Measures this host's client after a level, where the run asks for it; null where it does not, or cannot be done. */
export async function calibrateAfter(
  level: LevelReport,
  spec: RunSpec,
  signal: AbortSignal,
): Promise<Calibration | null> {
  const { calibrate = 'never' } = spec;
  const { durationS, itlMs } = level;
  const concurrency = level.open?.maxInFlight ?? level.concurrency;
  if (calibrate === 'never' || durationS === null || itlMs.count === 0) return null;
  if (calibrate === 'auto' && durationS < AUTO_FROM_S) return null;
  const stepMs = Math.min(
    (concurrency * durationS * 1_000) / (itlMs.count + level.requests.good),
    LENGTH_MS / FEWEST_EVENTS,
  );
  const load = { concurrency, stepMs, events: Math.round(LENGTH_MS / stepMs) };
  // A level's numbers stand whether or not this works.
  return measureClient(load, spec, signal).catch(() => null);
}

/** Streams of a mock server in a process of its own, whose log tells when it wrote each event. */
async function measureClient(
  { concurrency, stepMs, events }: Load,
  spec: RunSpec,
  signal: AbortSignal,
): Promise<Calibration | null> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bench-calibrate-'));
  const truth = path.join(folder, 'truth.ndjson');
  const step = `${stepMs.toFixed(6)}ms`;
  let records: RequestRecord[];
  const clock = startClock();
  try {
    const mock = await startMockProcess(['--ttft', step, '--step', step, '--truth', truth, '--model', MODEL]);
    try {
      const access = { targets: [parseTarget(mock.url)], headers: [], tls: null };
      const like = {
        ...spec,
        urls: [mock.url],
        model: MODEL,
        server: 'openai',
        extraBody: {},
        timeouts: TIMEOUTS,
      };
      const connection = new Connection({ ...like, endpoint: 'openai-chat' }, access, clock);
      const client = connection.client({ model: MODEL, fields: new Set(['ignore_eos']), templateShare: 0 });
      const cancel = (): void => client.cancel('interrupted');
      signal.addEventListener('abort', cancel);
      await client.open(concurrency);
      const ids = newRequestIds('calibrate');
      const prompt: Prompt = { content: Buffer.from('a'), isl: 1, osl: events, promptTokens: null };
      const send = async (): Promise<RequestRecord> => {
        const plan = { point: -1, concurrency, phase: 'warmup' as const, dueAtMs: clock.now() };
        const { record } = await client.send({ ...ids.next(), ...plan, ...prompt }, prompt);
        return record;
      };
      records = await Promise.all(Array.from({ length: concurrency }, send));
      signal.removeEventListener('abort', cancel);
      await client.close();
      await connection.close();
    } finally {
      await mock.stop();
    }
    const { head, lines } = readTruth(readFileSync(truth, 'utf8'), truth);
    const shiftMs = clockShiftMs(clock.origin.monotonicNs, head.monotonicNs);
    const stampErrorMs = stampErrors(records, lines, shiftMs);
    return stampErrorMs && { concurrency, ...paceOf(records), stampErrorMs };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** How fast the events came, and for how long. */
function paceOf(records: readonly RequestRecord[]): Pick<Calibration, 'eventsPerS' | 'durationS'> {
  const firstAtMs = Math.min(...records.map((record) => record.firstAtMs ?? Number.POSITIVE_INFINITY));
  const lastAtMs = Math.max(...records.map((record) => record.lastAtMs ?? 0));
  const durationS = Math.max(0, lastAtMs - firstAtMs) / 1_000;
  const events = sum(records.map(({ chunkUs }) => chunkUs.length));
  return { eventsPerS: durationS === 0 ? 0 : events / durationS, durationS };
}
