import { findArrival } from '../arrivals/index.ts';
import { type Arrival, arrivalOf } from '../core/arrival.ts';
import { judgeLevel } from '../core/audit.ts';
import type { Audit } from '../core/audit-facts.ts';
import type { Clock } from '../core/clock.ts';
import { greatest, sum } from '../core/distribution.ts';
import { type DriveHost, drive } from '../core/drive.ts';
import { usageError } from '../core/errors.ts';
import { loadOf } from '../core/load.ts';
import type { Phase, RequestRecord } from '../core/record.ts';
import type { FinishedRequest } from '../core/record-builder.ts';
import type { LevelReport } from '../core/report.ts';
import type { RequestIds } from '../core/request-ids.ts';
import type { PointSpec, Prompt, PromptSource, RunSpec } from '../core/spec.ts';
import { summarizeLevel } from '../core/summary.ts';
import type { Client } from '../endpoints/client.ts';
import type { ConnectionTally } from '../endpoints/wire.ts';
import { Auditor } from '../host/audit.ts';
import { ChunkShelf } from '../host/chunk-shelf.ts';
import { openFileLimit } from '../host/environment.ts';
import { keepHeapSmall } from '../host/heap.ts';
import { LoopTurns } from '../host/loop-turns.ts';
import type { RunStore } from '../host/store.ts';
import type { StopSignals } from './interrupt.ts';
import { LevelLog } from './level-log.ts';
import type { Progress } from './progress.ts';
import { NOT_WATCHED, type ServerWatch } from './server-watch.ts';

/** Files that the process needs open beside its connections. */
const SPARE_FILES = 64;
/** An open loop has so many connections ready before its clock starts, and keeps as many as may be due within this time. */
const READY_S = 2;
const SPARE_S = 0.1;
const SPARE_LEAST = 2;
/** Requests that are sent in one turn of the event loop where a thread of its own reads. */
const SENDS_PER_TURN = 8;
/** Output tokens that a warm-up request asks for at most. */
const WARMUP_OSL = 32;

/** What a command does around a level, outside of its clock. */
export interface LevelHooks {
  /** Keep the output text of every request. */
  readonly keepText: boolean;
  /** After the warm-up, before the connections of the measured load are opened. */
  warmedUp(): Promise<void>;
  /** A request has ended; its words hold no credentials. */
  ended(request: FinishedRequest): void;
  /** Right after the last measured request has ended. */
  loadEnded(): Promise<void>;
  /** All requests of the level, their tokens counted. */
  counted(requests: readonly FinishedRequest[]): void;
}

/** What a load generator among several waits for, outside of any latency. Both resolve soon after a stop. */
export interface LevelGate {
  /** The warm-up is over and all connections are open: resolves when the measured load is to start. */
  armed(): Promise<void>;
  /** All measured requests of a held level have ended here: resolves when they have everywhere. */
  drained(): Promise<void>;
}

/** What all levels of a run share. */
export interface LevelHost {
  readonly spec: RunSpec;
  readonly clock: Clock;
  /** The local tokenizer is not the model's. */
  readonly estimates: boolean;
  readonly client: Client;
  readonly prompts: PromptSource;
  readonly ids: RequestIds;
  readonly store: RunStore;
  readonly watch: ServerWatch | null;
  readonly interrupt: StopSignals;
  readonly progress: Progress;
  readonly hooks: LevelHooks | null;
  /** null where one process sends the whole level. */
  readonly gate: LevelGate | null;
  /** The request without credentials in its words. */
  withoutSecrets(request: FinishedRequest): FinishedRequest;
  /** Has the local tokenizer tell tokens per chunk of the requests whose servers did not. */
  countChunkTokens(log: LevelLog): Promise<void>;
}

/** Runs one point: warm-up, connections, the measured load, then its numbers. Records are on disk as they end. */
export async function measureLevel(point: PointSpec, host: LevelHost): Promise<LevelReport> {
  keepHeapSmall();
  // Hooks look at the requests when the level is over.
  const shelf = new ChunkShelf(host.hooks === null ? host.store.directory : null);
  try {
    return await measureWith(shelf, point, host);
  } finally {
    shelf.close();
  }
}

async function measureWith(shelf: ChunkShelf, point: PointSpec, host: LevelHost): Promise<LevelReport> {
  const { store, client, interrupt, progress } = host;
  const { spec } = host;
  const { arrivalShape = {}, prompts } = spec;
  // What only holds the load up goes on by the same schedule.
  const begun = point.requests === null ? null : point.requests / (prompts.turns?.count ?? 1);
  const extra = spec.holdLoad ? (begun ?? 0) : 0;
  const arrival = arrivalOf(
    findArrival(spec.arrival),
    { point: { ...point, requests: begun }, arrival: arrivalShape, prompts },
    extra,
  );
  const log = new LevelLog(host, shelf);
  const startBytes = store.bytes;
  // Records of an earlier level that a full disk refused would be written behind this point and cut off by an amendment.
  const amendable = store.unsaved === 0;
  const cancelAll = (): void => client.cancel('interrupted');
  interrupt.cancel.addEventListener('abort', cancelAll);
  let watched: Promise<Audit>;
  let tallies: ConnectionTally[];
  try {
    tallies = await warmUp(point, host, log);
    await host.hooks?.warmedUp();
    await host.watch?.before();
    tallies.push(...(await client.open(readyConnections(point))));
    await host.gate?.armed();
    const auditor = new Auditor(() => ({ stampedBy: client.stampedBy, ...client.meter.take() }));
    auditor.start();
    await driveMeasured(point, arrival, host, log);
    watched = auditor.stop(log.ofPhase('measured'));
    await host.hooks?.loadEnded();
    tallies.push(...client.takeTallies());
  } finally {
    log.flush();
    interrupt.cancel.removeEventListener('abort', cancelAll);
    progress.done();
  }
  const audit = await watched;
  const { records } = log;
  const sent = [...log.ofPhase('measured'), ...log.ofPhase('hold')];
  const { witness, sources } = (await host.watch?.after(sent, interrupt.stop.aborted)) ?? NOT_WATCHED;
  await host.countChunkTokens(log);
  if (amendable && log.hasUncounted) store.amend(startBytes, records);
  store.sync();
  host.hooks?.counted(log.finished());
  const cut = wasCut(point, log.ofPhase('measured'), interrupt);
  const level = summarizeLevel({
    point: point.index,
    ...loadOf(point),
    isl: point.isl,
    osl: point.osl,
    status: cut ? 'partial' : 'complete',
    records,
    gpus: host.spec.gpus,
    estimates: host.estimates,
    ...(host.spec.slosMs === undefined ? {} : { slosMs: host.spec.slosMs }),
    connections: sumTallies(tallies),
    witness,
    sources,
    audit,
    validity: { verdict: 'valid', reasons: [] },
  });
  return { ...level, validity: judgeLevel(level, audit, witness) };
}

/** A level that was not started, and why. */
export function skippedLevel(point: PointSpec, statusReason: string, gpus: number | null): LevelReport {
  return summarizeLevel({
    point: point.index,
    ...loadOf(point),
    isl: point.isl,
    osl: point.osl,
    status: 'skipped',
    statusReason,
    records: [],
    gpus,
    connections: { opened: 0, meanMs: null, maxMs: null },
    witness: null,
    audit: null,
    validity: { verdict: 'valid', reasons: [] },
  });
}

async function warmUp(point: PointSpec, host: LevelHost, log: LevelLog): Promise<ConnectionTally[]> {
  if (point.warmup === 0) return [];
  const slots = Math.min(point.concurrency, point.warmup);
  host.progress.phase(point, 'warmup', point.warmup);
  const opened = await host.client.open(slots);
  await drive(
    point,
    {
      phase: 'warmup',
      arrival: { slots, offsetsMs: null },
      count: point.warmup,
      untilAtMs: Number.POSITIVE_INFINITY,
      hold: false,
    },
    driveHost(host, log, 0),
    host.interrupt.stop,
  );
  return [...opened, ...host.client.takeTallies()];
}

/** Connections that are opened before the clock of a point starts. */
function readyConnections({ concurrency, ratePerS }: PointSpec): number {
  return ratePerS === undefined
    ? concurrency
    : Math.min(concurrency, Math.ceil(READY_S * ratePerS) + SPARE_LEAST);
}

async function driveMeasured(
  point: PointSpec,
  arrival: Arrival,
  host: LevelHost,
  log: LevelLog,
): Promise<void> {
  const { spec, clock } = host;
  host.progress.phase(point, 'measured', point.requests);
  await drive(
    point,
    {
      phase: 'measured',
      arrival,
      ...(spec.prompts.turns === undefined ? {} : { turns: spec.prompts.turns }),
      count: point.requests ?? Number.POSITIVE_INFINITY,
      // An open loop sends all that was due in its time, however late.
      untilAtMs:
        point.durationMs === null || arrival.offsetsMs !== null
          ? Number.POSITIVE_INFINITY
          : clock.now() + point.durationMs,
      hold: spec.holdLoad,
    },
    driveHost(host, log, arrival.offsetsMs === null ? 0 : SPARE_LEAST + Math.ceil(SPARE_S * point.ratePerS!)),
    host.interrupt.stop,
  );
}

/** `spare` idle connections are kept, so that a request of an open loop finds one however many are under way. */
function driveHost(host: LevelHost, log: LevelLog, spare: number): DriveHost {
  const { gate, client } = host;
  // Where a thread reads, room between sends is needed only to take what it has read.
  const turns = new LoopTurns(client.stampedBy === 'kernel' ? SENDS_PER_TURN : 1);
  return {
    turn: () => turns.next(),
    leadMs: client.leadMs,
    clock: host.clock,
    prompts: {
      take: (index, phase, n) => shortenWarmup(host.prompts.take(index, phase, n), phase),
    },
    send(plan, prompt) {
      const sent = host.client.send(plan, prompt);
      if (spare > 0) host.client.spare(spare);
      return sent;
    },
    follow: (before, { text }, next) => ({
      content: host.client.follow(before.content, text!.bytes, next.content),
      // Nobody here can count what the server made of the conversation so far.
      isl: null,
      osl: next.osl,
      promptTokens: null,
    }),
    cancel: (which) => host.client.cancel('the level ended', which),
    name: () => host.ids.next(),
    finished: (ended) => log.add(ended),
    ...(gate === null ? {} : { drained: () => gate.drained() }),
  };
}

/** Whether a signal, or the loss of the stack, kept the level from what was planned; not so when it came after the last request. */
function wasCut(point: PointSpec, measured: readonly RequestRecord[], interrupt: StopSignals): boolean {
  if (!interrupt.stop.aborted) return false;
  const planned = point.requests ?? Number.POSITIVE_INFINITY;
  return measured.length < planned || measured.some((record) => record.outcome === 'cancelled');
}

/** Warm-up is there to open caches and connections, not to wait for long answers. */
function shortenWarmup(prompt: Prompt, phase: Phase): Prompt {
  return phase === 'warmup' ? { ...prompt, osl: Math.min(prompt.osl, WARMUP_OSL) } : prompt;
}

/** The option that bounds the requests in flight of these loads; `closedFlag` that of a closed loop. */
export function levelFlag({ arrival }: Pick<RunSpec, 'arrival'>, closedFlag = '--concurrency'): string {
  return arrival === 'closed' ? closedFlag : '--max-in-flight';
}

/** Refuses a run whose connections this process may not open (exit 2), before anything is sent; `lower` is the option to lower. */
export function checkFileLimit(points: readonly PointSpec[], flag: string, lower = flag): void {
  const limit = openFileLimit();
  const needed = greatest(points.map((point) => point.concurrency)) + SPARE_FILES;
  if (limit !== null && needed > limit) {
    const fewer = limit > SPARE_FILES ? `, or give ${lower} ${limit - SPARE_FILES}` : '';
    throw usageError(
      `${flag}: ${needed - SPARE_FILES} connections need ${needed} open files, the limit is ${limit}`,
      `raise it first: ulimit -n ${2 ** Math.ceil(Math.log2(needed))}${fewer}`,
    );
  }
}

function sumTallies(tallies: readonly ConnectionTally[]): LevelReport['connections'] {
  const opened = sum(tallies.map((tally) => tally.opened));
  const totalMs = sum(tallies.map((tally) => tally.totalMs));
  // A wire that cannot time its connections gives no time at all.
  const timed = opened > 0 && totalMs > 0;
  return {
    opened,
    meanMs: !timed ? null : totalMs / opened,
    maxMs: !timed ? null : greatest(tallies.map((tally) => tally.maxMs)),
  };
}
