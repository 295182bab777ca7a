import { ARRIVALS } from '../arrivals/index.ts';
import { judgeLevel } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import { greatest, sum } from '../core/distribution.ts';
import { drive } from '../core/drive.ts';
import { usageError } from '../core/errors.ts';
import type { RequestRecord } from '../core/record.ts';
import type { FinishedRequest } from '../core/record-builder.ts';
import type { LevelReport } from '../core/report.ts';
import type { RequestIds } from '../core/request-ids.ts';
import type { PointSpec, Prompt, PromptSource, RunSpec } from '../core/spec.ts';
import { summarizeLevel } from '../core/summary.ts';
import type { Client } from '../endpoints/client.ts';
import type { ConnectionTally } from '../endpoints/wire.ts';
import { Auditor } from '../host/audit.ts';
import { openFileLimit } from '../host/environment.ts';
import type { RunStore } from '../host/store.ts';
import type { Interrupt } from './interrupt.ts';
import type { Progress } from './progress.ts';
import type { ServerWitness } from './witness.ts';

/** Files that the process needs open beside its connections. */
const SPARE_FILES = 64;
/** Output tokens that a warm-up request asks for at most. */
export const WARMUP_OSL = 32;

/** What all levels of a run share. */
export interface LevelHost {
  readonly spec: RunSpec;
  readonly clock: Clock;
  readonly client: Client;
  readonly prompts: PromptSource;
  readonly ids: RequestIds;
  readonly store: RunStore;
  readonly witness: ServerWitness | null;
  readonly interrupt: Interrupt;
  readonly progress: Progress;
  /** The request without credentials in its words. */
  withoutSecrets(request: FinishedRequest): FinishedRequest;
  /** Tells tokens per chunk of the requests whose servers did not, by the local tokenizer. */
  countChunkTokens(requests: readonly FinishedRequest[]): Promise<RequestRecord[]>;
}

/** Runs one point: warm-up, connections, the measured load, then its numbers. Records are on disk as they end. */
export async function measureLevel(point: PointSpec, host: LevelHost): Promise<LevelReport> {
  const { spec, client, clock, store, interrupt, progress } = host;
  checkFileLimit(point.concurrency);
  const finished: FinishedRequest[] = [];
  const unwritten: RequestRecord[] = [];
  const startBytes = store.bytes;
  let flushing: NodeJS.Immediate | null = null;
  const flush = (): void => {
    flushing = null;
    store.append(unwritten.splice(0));
  };
  const cancelAll = (): void => client.cancel('interrupted');
  interrupt.cancel.addEventListener('abort', cancelAll);

  const driveHost = {
    clock,
    prompts: {
      take: (index: number, phase: Prompt2Phase, n: number) =>
        shortenWarmup(host.prompts.take(index, phase, n), phase),
    },
    send: (plan: Parameters<Client['send']>[0], prompt: Prompt) => client.send(plan, prompt),
    cancel: (which: (plan: Parameters<Client['send']>[0]) => boolean) =>
      client.cancel('the level ended', which),
    name: () => host.ids.next(),
    finished: (ended: FinishedRequest) => {
      const request = host.withoutSecrets(ended);
      finished.push(request);
      progress.ended(request.record);
      // Written between two turns of the loop, so that the next send does not wait for the disk.
      unwritten.push(request.record);
      flushing ??= setImmediate(flush);
    },
  };
  const arrival = ARRIVALS.find((kind) => kind.name === spec.arrival)!.make(point);

  if (point.warmup > 0) {
    progress.phase(point, 'warmup', point.warmup);
    const slots = Math.min(point.concurrency, point.warmup);
    await client.open(slots);
    await drive(
      point,
      {
        phase: 'warmup',
        arrival: { slots, dueAtMs: () => null },
        count: point.warmup,
        untilAtMs: Number.POSITIVE_INFINITY,
        hold: false,
      },
      driveHost,
      interrupt.stop,
    );
  }
  const warmed = finished.length;
  await host.witness?.before();
  client.takeTallies();
  const opened = await client.open(point.concurrency);

  progress.phase(point, 'measured', point.requests);
  const auditor = new Auditor();
  auditor.start();
  await drive(
    point,
    {
      phase: 'measured',
      arrival,
      count: point.requests ?? Number.POSITIVE_INFINITY,
      untilAtMs: point.durationMs === null ? Number.POSITIVE_INFINITY : clock.now() + point.durationMs,
      hold: spec.holdLoad,
    },
    driveHost,
    interrupt.stop,
  );
  if (flushing !== null) clearImmediate(flushing);
  flush();
  interrupt.cancel.removeEventListener('abort', cancelAll);
  const audit = auditor.stop(finished.flatMap(({ record }) => (record.phase === 'measured' ? [record] : [])));
  const tallies = [...opened, ...client.takeTallies()];
  const loaded = finished.slice(warmed).map(({ record }) => record);
  const witness = (await host.witness?.after(loaded)) ?? null;
  progress.done();

  const records = await host.countChunkTokens(finished);
  if (finished.some(({ text }) => text !== null)) store.amend(startBytes, records);
  store.sync();
  const level = summarizeLevel({
    point: point.index,
    concurrency: point.concurrency,
    isl: point.isl,
    osl: point.osl,
    status: interrupt.code === null ? 'complete' : 'partial',
    records,
    gpus: spec.gpus,
    connections: sumTallies(tallies),
    witness,
    audit,
    validity: { verdict: 'valid', reasons: [] },
  });
  return { ...level, validity: judgeLevel(level, audit, witness) };
}

type Prompt2Phase = Parameters<PromptSource['take']>[1];

/** Warm-up is there to open caches and connections, not to wait for long answers. */
function shortenWarmup(prompt: Prompt, phase: Prompt2Phase): Prompt {
  return phase === 'warmup' ? { ...prompt, osl: Math.min(prompt.osl, WARMUP_OSL) } : prompt;
}

function checkFileLimit(concurrency: number): void {
  const limit = openFileLimit();
  if (limit !== null && concurrency + SPARE_FILES > limit) {
    throw usageError(
      `--concurrency: ${concurrency} connections need ${concurrency + SPARE_FILES} open files, the limit is ${limit}`,
      `raise it first: ulimit -n ${2 ** Math.ceil(Math.log2(concurrency + SPARE_FILES))}`,
    );
  }
}

function sumTallies(tallies: readonly ConnectionTally[]): LevelReport['connections'] {
  const opened = sum(tallies.map((tally) => tally.opened));
  return {
    opened,
    meanMs: opened === 0 ? null : sum(tallies.map((tally) => tally.totalMs)) / opened,
    maxMs: opened === 0 ? null : greatest(tallies.map((tally) => tally.maxMs)),
  };
}
