import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { EXIT, type ExitCode, errorText, knownError, usageError } from '../../core/errors.ts';
import { splitPoint } from '../../core/load-share.ts';
import { newRequestIds, type RequestIds } from '../../core/request-ids.ts';
import type { PointSpec, RunSpec } from '../../core/spec.ts';
import type { Client } from '../../endpoints/client.ts';
import { startClock, utcNowMs } from '../../host/clock.ts';
import { SpoolReader } from '../../host/spool.ts';
import { RunStore } from '../../host/store.ts';
import { Connection } from '../connect.ts';
import { checkFileLimit, levelFlag, measureLevel } from '../level.ts';
import { countChunkTokens, type PromptSupply, preparePromptsFor } from '../prompt-supply.ts';
import { type Answer, eachLine, encodeMessage, MessageReader, type Order, type RankRun } from './protocol.ts';
import { rankDirectory, requestPrefix } from './rank-files.ts';
import { RankProgress } from './rank-progress.ts';
import { RankStop } from './rank-stop.ts';

const BEAT_MS = 1_000;
/** A rank whose coordinator is gone ends within this time, whatever it was doing. */
const ABANDONED_MS = 3_000;

/**
 * One load generator: takes orders from standard input, answers on standard output, and sends its share of
 * each level with the same engine as a process that sends alone. Its number is the argument, else SLURM's.
 */
export async function runRank(args: readonly string[]): Promise<ExitCode> {
  const rank = Number(args[0] ?? process.env['SLURM_PROCID'] ?? Number.NaN);
  if (!Number.isSafeInteger(rank) || rank < 0)
    throw usageError('load-rank: this is no load generator of a run', 'use bench sweep --load-tasks');
  return new RankProcess(rank).run();
}

/** What a rank has once it knows the run. */
interface Prepared {
  readonly run: RankRun;
  /** The run's spec with this rank's own salt and its shares as points. */
  readonly spec: RunSpec;
  readonly connection: Connection;
  readonly supply: PromptSupply | null;
  readonly ids: RequestIds;
}

class RankProcess {
  readonly #rank: number;
  readonly #clock = startClock();
  readonly #originUtcMs = utcNowMs() - this.#clock.now();
  readonly #stop = new RankStop();
  readonly #progress = new RankProgress(
    (line) => process.stderr.write(`${line}\n`),
    () => this.#beat(),
  );
  readonly #scratch = mkdtempSync(path.join(os.tmpdir(), 'bench-rank-'));
  #prepared: Prepared | null = null;
  #store: RunStore | null = null;
  #client: Client | null = null;
  #reader: SpoolReader | null = null;
  #leaving = false;
  #work: Promise<void> = Promise.resolve();
  #go: (order: Extract<Order, { kind: 'go' }>) => void = () => undefined;
  #release: () => void = () => undefined;
  #finish: (code: ExitCode) => void = () => undefined;

  constructor(rank: number) {
    this.#rank = rank;
  }

  async run(): Promise<ExitCode> {
    process.once('exit', () => rmSync(this.#scratch, { recursive: true, force: true }));
    const finished = new Promise<ExitCode>((resolve) => {
      this.#finish = resolve;
    });
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => this.#abandon());
    const reader = new MessageReader<Order>();
    eachLine(process.stdin, (line) => {
      const order = reader.take(line);
      if (order) this.#take(order);
    });
    process.stdin.once('end', () => this.#abandon());
    this.#say({
      kind: 'hello',
      host: process.env['SLURMD_NODENAME'] ?? os.hostname(),
      originUtcMs: this.#originUtcMs,
    });
    const beats = setInterval(() => this.#beat(), BEAT_MS);
    const code = await finished;
    clearInterval(beats);
    // Whatever is still open (an idle connection, the prompt child) ends with the process.
    process.exit(code);
  }

  #say(answer: Answer): void {
    process.stdout.write(encodeMessage(answer));
  }

  #beat(): void {
    this.#say({ kind: 'beat', beat: this.#progress.take(this.#client?.inFlight ?? 0) });
  }

  #take(order: Order): void {
    switch (order.kind) {
      case 'ping':
        this.#say({ kind: 'pong', atUtcMs: this.#originUtcMs + this.#clock.now() });
        break;
      case 'prepare':
        this.#do(() => this.#prepare(order.run));
        break;
      case 'begin':
        this.#do(() => this.#begin(order));
        break;
      case 'level':
        this.#do(() => this.#level(order.point));
        break;
      case 'go':
        this.#go(order);
        break;
      case 'release':
        this.#release();
        break;
      case 'stop':
        this.#stop.stopSending();
        break;
      case 'cancel':
        this.#stop.cancelAll();
        break;
      case 'quit':
        this.#end(EXIT.ok);
        break;
    }
  }

  /** One thing after the other; the first that fails is told, and ends the rank. */
  #do(step: () => Promise<void>): void {
    this.#work = this.#work.then(step).catch((error: unknown) => {
      if (this.#leaving) return;
      const known = knownError(error);
      if (known === null)
        process.stderr.write(`${error instanceof Error ? error.stack : errorText(error)}\n`);
      const exitCode = known?.exitCode ?? EXIT.bug;
      this.#say({ kind: 'failed', exitCode, message: errorText(error), hint: known?.hint ?? null });
      this.#leave(exitCode);
    });
  }

  /** The coordinator or the step is gone: what has ended is on disk, the rest is cancelled. */
  #abandon(): void {
    if (!this.#leaving) this.#end(EXIT.terminated);
  }

  /** Cancels what is under way and ends behind it, or after a while without it. */
  #end(code: ExitCode): void {
    this.#leaving = true;
    this.#stop.stopSending();
    this.#stop.cancelAll();
    this.#work = this.#work.then(() => this.#leave(code));
    setTimeout(() => this.#finish(code), ABANDONED_MS);
  }

  #leave(code: ExitCode): void {
    this.#leaving = true;
    this.#store?.closeUnused();
    this.#store = null;
    this.#finish(code);
  }

  async #prepare(run: RankRun): Promise<void> {
    const { ranks, model, foreign } = run;
    const sharesOf = new Map(run.spec.points.map((point) => [point.index, splitPoint(point, ranks)]));
    const shareOf = (point: PointSpec): PointSpec => sharesOf.get(point.index)![this.#rank]!;
    const { salt } = run.spec.prompts;
    const spec: RunSpec = {
      ...run.spec,
      points: run.spec.points.map(shareOf),
      prompts: { ...run.spec.prompts, salt: `${salt}-r${this.#rank}`, sharedSalt: salt },
    };
    const points = spec.points.filter(
      ({ index, concurrency }) => concurrency > 0 && run.points.includes(index),
    );
    checkFileLimit(spec.points, levelFlag(spec));
    const pem = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text, 'base64'));
    const tls = run.tls && { ca: pem(run.tls.ca), cert: pem(run.tls.cert), key: pem(run.tls.key) };
    const access = { targets: run.targets, headers: run.headers, tls };
    const connection = new Connection(spec, access, this.#clock, this.#stop.stop);
    this.#store = RunStore.openShare(rankDirectory(run.directory, this.#rank), new Set(run.keep));
    const supply =
      points.length === 0
        ? null
        : await preparePromptsFor({
            spec,
            points,
            run: run.spec.points,
            before: (point) => sharesOf.get(point.index)!.slice(0, this.#rank),
            scratch: this.#scratch,
            foreign,
            connection,
            model,
            signal: this.#stop.stop,
            progress: this.#progress,
          });
    const ids = newRequestIds(`${requestPrefix(salt)}-r${this.#rank}`);
    this.#prepared = { run, spec, connection, supply, ids };
    const { facts = null, warnings = [] } = supply ?? {};
    const { fallback } = connection;
    const notes = fallback === null ? warnings : [...warnings, fallback];
    this.#say({ kind: 'prepared', facts, warnings: notes, atByte: this.#store.bytes });
  }

  async #begin({ fields, omitted, capField }: Extract<Order, { kind: 'begin' }>): Promise<void> {
    const { run, spec, connection, supply } = this.#prepared!;
    if (supply !== null) {
      const taken = new Set(fields);
      connection.edits.adopt(omitted, capField);
      await connection.proveStreams(run.model, taken);
      this.#reader = new SpoolReader(supply.spoolPath);
      this.#client = connection.client({
        model: run.model,
        fields: taken,
        templateShare: spec.prompts.islCounts === 'content' ? (supply.facts.template.tokens ?? 0) : 0,
        onTokens: (tokens) => this.#progress.tokens(tokens),
      });
    }
    this.#say({ kind: 'ready' });
  }

  async #level(index: number): Promise<void> {
    const { spec, connection, ids, supply } = this.#prepared!;
    const store = this.#store!;
    const point = spec.points.find((share) => share.index === index)!;
    // Most ranks sit a small level out.
    if (point.concurrency === 0) return;
    const warnings: string[] = [];
    const { estimates } = supply!.facts;
    let records = 0;
    const level = await measureLevel(point, {
      spec,
      clock: this.#clock,
      estimates,
      client: this.#client!,
      prompts: this.#reader!,
      ids,
      store,
      watch: null,
      interrupt: this.#stop,
      progress: this.#progress,
      hooks: null,
      gate: { armed: () => this.#armed(), drained: () => this.#drained() },
      withoutSecrets: (request) => connection.withoutSecrets(request),
      countChunkTokens: (log) => {
        records = log.records.length;
        return countChunkTokens({ spec, estimates }, log, this.#scratch, (text) => warnings.push(text));
      },
    });
    this.#say({
      kind: 'done',
      records,
      toByte: store.bytes,
      status: level.status,
      connections: level.connections,
      audit: level.audit!,
      warnings,
      missing: store.missing,
    });
  }

  /** Says that all is ready for the measured load, and waits for the common start. */
  async #armed(): Promise<void> {
    const start = new Promise<Extract<Order, { kind: 'go' }> | null>((resolve) => {
      this.#go = resolve;
      this.#stop.onStop(() => resolve(null));
    });
    this.#say({ kind: 'armed' });
    const order = await start;
    if (order === null) return;
    const startAtMs = order.startUtcMs + (order.offsetsMs[this.#rank] ?? 0) - this.#originUtcMs;
    await this.#clock.sleepUntil(startAtMs, this.#stop.stop);
  }

  async #drained(): Promise<void> {
    const release = new Promise<void>((resolve) => {
      this.#release = resolve;
      this.#stop.onStop(resolve);
    });
    this.#say({ kind: 'drained' });
    await release;
  }
}
