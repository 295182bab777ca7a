import { appendFileSync, mkdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { type ClockOffset, type ClockSample, estimateOffset } from '../../core/clock-offset.ts';
import { sum } from '../../core/distribution.ts';
import { BenchError, EXIT } from '../../core/errors.ts';
import { splitPoint } from '../../core/load-share.ts';
import type { PromptFacts } from '../../core/prompt-facts.ts';
import { RecordTable } from '../../core/record-table.ts';
import type { PointSpec } from '../../core/spec.ts';
import { ChunkShelf } from '../../host/chunk-shelf.ts';
import { utcNowMs } from '../../host/clock.ts';
import type { Canary } from '../connect.ts';
import type { LevelRunner, LoadOrder, MeasuredLevel, RunnerTools } from '../level-runner.ts';
import type { LoadPlan } from '../load-plan.ts';
import type { PromptSupply } from '../prompt-supply.ts';
import { NOT_WATCHED, type ServerWatch } from '../server-watch.ts';
import type { SweepJob } from '../sweep-job.ts';
import { Crew } from './crew.ts';
import { LocalChannel } from './local-channel.ts';
import type { RankLevel } from './protocol.ts';
import { LOG_FILE, RANKS_FOLDER } from './rank-files.ts';
import { incomplete, mergeRanks, type RankPart, rankedLevel } from './rank-level.ts';
import { RankShelf } from './rank-shelf.ts';
import { SrunChannel } from './srun-channel.ts';

const SILENCE_MS = 30_000;
/** A step may have to wait for its turn. */
const START_MS = 120_000;
/** Questions to each clock before a level; the quickest answer counts. */
const PINGS = 8;
/** The common start lies so far ahead that the order for it has come to all. */
const AHEAD_MS = 200;
/** After a failure the others get so long to tell how far they came. */
const SETTLE_MS = 5_000;

/** Several load generators send each level together; this process tells them when, and puts their records together. */
export class RankRunner implements LevelRunner {
  readonly #job: SweepJob;
  readonly #tools: RunnerTools;
  readonly #crew: Crew;
  readonly #shelf: RankShelf;
  readonly #ranks: number;
  /** UTC of the run's origin, by this process's clock. */
  readonly #originUtcMs: number;
  #order: LoadOrder | null = null;
  #facts: PromptFacts | null = null;
  #originsUtcMs: number[] = [];
  #nextId: number;

  constructor(job: SweepJob, tools: RunnerTools, plan: LoadPlan) {
    this.#job = job;
    this.#tools = tools;
    this.#ranks = plan.tasks;
    this.#nextId = job.firstId;
    this.#originUtcMs = utcNowMs() - job.clock.now();
    const directory = path.resolve(job.store.directory);
    this.#shelf = new RankShelf(directory, plan.tasks);
    const channel =
      plan.slurm === null
        ? new LocalChannel(plan.tasks)
        : new SrunChannel(plan.slurm, plan.tasks, job.spec.name);
    this.#crew = new Crew(channel, {
      ranks: plan.tasks,
      silenceMs: SILENCE_MS,
      startMs: START_MS,
      logged: (line) => keepLog(path.join(directory, RANKS_FOLDER), line),
    });
    this.#crew.start();
  }

  get inFlight(): number {
    return this.#crew.inFlight;
  }

  async prepare(order: LoadOrder): Promise<Pick<PromptSupply, 'facts' | 'warnings'>> {
    const { spec, points, identified } = order;
    const { access, earlier } = this.#job;
    const { stop } = this.#tools.interrupt;
    this.#order = order;
    const all = this.#all();
    const hellos = await this.#crew.collect('hello', all, stop);
    this.#originsUtcMs = hellos.map(({ answer }) => answer.originUtcMs);
    const base64 = (pem: Buffer | null): string | null => pem?.toString('base64') ?? null;
    this.#crew.send({
      kind: 'prepare',
      run: {
        spec,
        ranks: this.#ranks,
        points: points.map(({ index }) => index),
        keep: earlier.map(({ point }) => point),
        model: identified.model,
        foreign: identified.foreign,
        targets: access.targets,
        headers: access.headers,
        tls: access.tls && {
          ca: base64(access.tls.ca),
          cert: base64(access.tls.cert),
          key: base64(access.tls.key),
        },
        directory: path.resolve(this.#job.store.directory),
      },
    });
    const prepared = (await this.#crew.collect('prepared', all, stop)).map(({ answer }) => answer);
    this.#shelf.begin(prepared.map(({ atByte }) => atByte));
    const facts = prepared.flatMap((answer) => answer.facts ?? []);
    const warnings = [...new Set(prepared.flatMap((answer) => answer.warnings))];
    this.#facts = mergeFacts(facts, spec.prompts.salt);
    return { facts: this.#facts, warnings };
  }

  async begin({ fields, edits }: Canary): Promise<void> {
    const { omitted, capField } = edits;
    this.#crew.send({ kind: 'begin', fields: [...fields], omitted: [...omitted], capField });
    await this.#crew.collect('ready', this.#all(), this.#tools.interrupt.stop);
  }

  async measure(point: PointSpec, watch: ServerWatch | null): Promise<MeasuredLevel> {
    if (this.#crew.failure !== null) return { level: null, warnings: [], failure: this.#crew.failure };
    const shares = splitPoint(point, this.#ranks);
    const active = this.#all().filter((rank) => shares[rank]!.concurrency > 0);
    const { interrupt, progress } = this.#tools;
    const tellStop = (): void => this.#crew.send({ kind: 'stop' });
    const tellCancel = (): void => this.#crew.send({ kind: 'cancel' });
    interrupt.stop.addEventListener('abort', tellStop);
    interrupt.cancel.addEventListener('abort', tellCancel);
    let clocks: ClockOffset[] = [];
    let ends: ReadonlyMap<number, RankLevel>;
    try {
      clocks = await this.#readClocks();
      ends = await this.#lead(point, active, clocks, watch);
    } catch (error) {
      if (this.#crew.failure === null) throw error;
      tellStop();
      tellCancel();
      ends = await this.#crew.gather('done', active, SETTLE_MS);
    } finally {
      interrupt.stop.removeEventListener('abort', tellStop);
      interrupt.cancel.removeEventListener('abort', tellCancel);
      this.#crew.onBeat = () => undefined;
      progress.done();
    }
    if (clocks.length === 0) return { level: null, warnings: [], failure: this.#crew.failure };
    const chunks = new ChunkShelf(this.#job.store.directory);
    const table = new RecordTable(chunks);
    try {
      const parts: RankPart[] = [];
      for (const rank of active) {
        const end = ends.get(rank) ?? null;
        parts.push({
          rank,
          host: this.#crew.hostOf(rank),
          concurrency: shares[rank]!.concurrency,
          clock: clocks[rank]!,
          originUtcMs: this.#originsUtcMs[rank]!,
          end,
          ...(await this.#shelf.take(rank, point.index, end, (record) => table.add(record))),
        });
      }
      return await this.#conclude(point, parts, watch);
    } finally {
      chunks.close();
    }
  }

  async close(): Promise<void> {
    await this.#crew.close();
    try {
      rmdirSync(path.join(this.#job.store.directory, RANKS_FOLDER));
    } catch {
      // There is something in it, or it was never made.
    }
  }

  #all(): number[] {
    return Array.from({ length: this.#ranks }, (_, rank) => rank);
  }

  /** Asks all clocks some times, one question at a time; how far each is ahead, by rank. */
  async #readClocks(): Promise<ClockOffset[]> {
    const samples = this.#all().map((): ClockSample[] => []);
    for (let n = 0; n < PINGS; n++) {
      const sentMs = utcNowMs();
      this.#crew.send({ kind: 'ping' });
      const pongs = await this.#crew.collect('pong', this.#all());
      pongs.forEach(({ answer, atUtcMs }, rank) => {
        samples[rank]!.push({ sentMs, receivedMs: atUtcMs, remoteMs: answer.atUtcMs });
      });
    }
    return samples.map(estimateOffset);
  }

  /** Leads the ranks through a level: warm-up, common start, end. Rejects when one fails. */
  async #lead(
    point: PointSpec,
    active: readonly number[],
    clocks: readonly ClockOffset[],
    watch: ServerWatch | null,
  ): Promise<Map<number, RankLevel>> {
    const crew = this.#crew;
    const { interrupt, progress } = this.#tools;
    let phase: 'warmup' | 'measured' = 'warmup';
    crew.onBeat = (beat) => {
      if (beat.phase !== phase) return;
      progress.tokens(beat.tokens);
      progress.tally(beat.ended, beat.failed, beat.ttftsMs);
    };
    if (point.warmup > 0) progress.phase(point, phase, point.warmup);
    crew.send({ kind: 'level', point: point.index });
    await crew.collect('armed', active);
    if (!interrupt.stop.aborted) await watch?.before();
    phase = 'measured';
    progress.phase(point, phase, point.requests);
    const offsetsMs = clocks.map(({ offsetMs }) => offsetMs);
    crew.send({ kind: 'go', startUtcMs: utcNowMs() + AHEAD_MS, offsetsMs });
    if (this.#order!.spec.holdLoad) {
      // A rank that is told to stop does not wait for the others.
      await Promise.race([crew.collect('drained', active), aborted(interrupt.stop)]);
      crew.send({ kind: 'release' });
    }
    const ends = await crew.collect('done', active);
    return new Map(active.map((rank, index) => [rank, ends[index]!.answer]));
  }

  /** The level's numbers, with the server's own counters; the records go to the run's file. */
  async #conclude(
    point: PointSpec,
    parts: readonly RankPart[],
    watch: ServerWatch | null,
  ): Promise<MeasuredLevel> {
    const { store, spec } = this.#job;
    const failure = this.#crew.failure ?? incomplete(point, parts);
    const records = mergeRanks(parts, point, this.#originUtcMs, this.#nextId);
    this.#nextId += records.length;
    store.append(records);
    store.sync();
    const sent = records.filter(({ phase }) => phase !== 'warmup');
    const cut = failure !== null || this.#tools.interrupt.stop.aborted;
    const seen = (await watch?.after(sent, cut)) ?? NOT_WATCHED;
    const level = rankedLevel({
      point,
      parts,
      records,
      failed: failure !== null,
      gpus: spec.gpus,
      estimates: this.#facts!.estimates,
      ...(spec.slosMs === undefined ? {} : { slosMs: spec.slosMs }),
      witness: failure === null ? seen.witness : null,
      sources: seen.sources,
    });
    const warnings = [...new Set(parts.flatMap(({ end }) => end?.warnings ?? []))];
    return { level, warnings, failure };
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** One prompt making's facts for all: they differ in their salt alone. Exit 70 when nobody made a prompt. */
function mergeFacts(facts: readonly PromptFacts[], salt: string): PromptFacts {
  const [first] = facts;
  if (first === undefined) throw new BenchError(EXIT.bug, 'no load generator has a share of any level');
  const { sharedSalt: _, ...alike } = first;
  return { ...alike, salt, checked: sum(facts.map(({ checked }) => checked)) };
}

/** Keeps what ranks and srun say on standard error. */
function keepLog(folder: string, line: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    appendFileSync(path.join(folder, LOG_FILE), `${line}\n`);
  } catch {
    // A log that cannot be kept is no reason to end a run.
  }
}
