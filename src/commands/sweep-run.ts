import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DEFINITIONS } from '../core/definitions.ts';
import { sum } from '../core/distribution.ts';
import { BenchError, EXIT, type ExitCode, errorText, usageError, worstExit } from '../core/errors.ts';
import type { LevelReport, PromptFacts, Provenance, Report, TargetFacts } from '../core/report.ts';
import { REPORT_SCHEMA } from '../core/report.ts';
import { newRequestIds } from '../core/request-ids.ts';
import { publicSpec } from '../core/secrets.ts';
import type { PointSpec, RunSpec } from '../core/spec.ts';
import type { Client } from '../endpoints/client.ts';
import { EXPORTERS } from '../exporters/index.ts';
import type { RunClock } from '../host/clock.ts';
import { SpoolReader } from '../host/spool.ts';
import type { RunStore } from '../host/store.ts';
import type { TargetAccess } from './arguments.ts';
import { Connection, targetFacts } from './connect.ts';
import { Interrupt } from './interrupt.ts';
import { type LevelHooks, measureLevel } from './level.ts';
import { liveProgress, type Progress, SILENT } from './progress.ts';
import { chunkTokens, preparePromptsFor } from './prompt-supply.ts';
import { ServerWitness } from './witness.ts';

export interface SweepJob {
  readonly spec: RunSpec;
  readonly access: TargetAccess;
  readonly clock: RunClock;
  readonly provenance: Provenance;
  readonly store: RunStore;
  readonly quiet: boolean;
  /** Levels of an earlier, incomplete run of the same spec; they are not run again. */
  readonly earlier: readonly LevelReport[];
  /** What the earlier run had to say, and with what it was made; empty for a new run. */
  readonly earlierNotes: readonly string[];
  /** Number of the first request, so that ids go on where an earlier run stopped. */
  readonly firstId: number;
  readonly hooks?: LevelHooks;
}

export interface SweepResult {
  readonly report: Report;
  readonly exitCode: ExitCode;
}

/** What is made before the first measured request is sent. */
interface Setup {
  readonly client: Client;
  readonly reader: SpoolReader;
  readonly draft: ReportDraft;
  readonly spec: RunSpec;
  readonly todo: readonly PointSpec[];
  readonly newWitness: () => ServerWitness | null;
}

interface SweepTools {
  readonly connection: Connection;
  readonly interrupt: Interrupt;
  readonly progress: Progress;
  /** Folder for files of this run's time. */
  readonly scratch: string;
}

/** Runs all points of a sweep in order and rewrites the results after each. */
export async function runSweep(job: SweepJob): Promise<SweepResult> {
  const scratch = makeScratch();
  // A second signal ends the process without unwinding.
  const clearScratch = (): void => rmSync(scratch, { recursive: true, force: true });
  process.once('exit', clearScratch);
  let setup: Setup | null = null;
  const inFlight = (): number => setup?.client.inFlight ?? 0;
  const progress = job.quiet ? SILENT : liveProgress(process.stderr, job.spec.points.length, inFlight);
  const interrupt = new Interrupt(job.spec.graceMs, (line) => progress.say(line));
  const connection = new Connection(job.spec, job.access, job.clock, interrupt.stop);
  const tools = { connection, interrupt, progress, scratch };
  interrupt.listen();
  try {
    try {
      setup = await setUp(job, tools);
    } catch (error) {
      if (interrupt.code === null) throw error;
      throw new BenchError(interrupt.code, 'interrupted before anything was measured');
    }
    return await runPoints(job, setup, tools);
  } finally {
    interrupt.unlisten();
    setup?.reader.close();
    await setup?.client.close();
    await connection.close();
    process.off('exit', clearScratch);
    clearScratch();
  }
}

/** Finds out who serves, proves that it streams, and has the prompts made meanwhile. */
async function setUp(
  job: SweepJob,
  { connection, interrupt, progress, scratch }: SweepTools,
): Promise<Setup> {
  const identified = await connection.identify();
  for (const note of identified.notes) progress.say(`note: ${note}`);
  const { model, foreign, server } = identified;
  const spec: RunSpec = { ...job.spec, model };
  const todo = spec.points
    .slice(spec.skip)
    .filter((point) => !job.earlier.some((level) => level.point === point.index));
  const signal = interrupt.stop;
  const [canary, supply] = await settleBoth(
    connection.canary(identified),
    preparePromptsFor({ spec, points: todo, scratch, foreign, connection, model, signal, progress }),
  );
  job.store.document('spec.json', `${JSON.stringify(publicSpec(spec), null, 2)}\n`);
  const draft = new ReportDraft(
    job,
    spec,
    targetFacts(spec, identified, canary, connection.controls),
    supply.facts,
  );
  draft.warnings.push(...job.earlierNotes, ...identified.notes, ...supply.warnings);
  if (canary.refusedFields.length > 0) {
    draft.warnings.push(
      `the server refused ${canary.refusedFields.join(', ')}: output lengths may fall short of what was asked`,
    );
  }
  for (const warning of draft.warnings) progress.say(`warning: ${warning}`);
  if (supply.facts.estimates) progress.say(`note: ${estimateNote(supply.facts)}`);
  const { witness } = server;
  return {
    spec,
    todo,
    draft,
    reader: new SpoolReader(supply.spoolPath),
    client: connection.client({
      model,
      fields: canary.fields,
      templateShare: spec.prompts.islCounts === 'content' ? (supply.facts.template.tokens ?? 0) : 0,
      keepText: job.hooks?.keepText ?? false,
      onChunk: (_text, tokens) => progress.tokens(tokens),
    }),
    newWitness: () =>
      witness !== null && identified.hasMetrics ? new ServerWitness(connection.controls, witness) : null,
  };
}

async function runPoints(job: SweepJob, setup: Setup, tools: SweepTools): Promise<SweepResult> {
  const { clock, store } = job;
  const { spec, draft } = setup;
  const { connection, interrupt, progress, scratch } = tools;
  const ids = newRequestIds(`bench-${spec.prompts.salt.replace(/[^\w.-]/g, '_')}`, job.firstId);
  const levels = [...job.earlier];
  draft.write(levels, 'running', null);
  let stopped: string | null = null;
  for (const [nth, point] of setup.todo.entries()) {
    if (nth > 0) await clock.sleepUntil(clock.now() + spec.pauseMs, interrupt.stop);
    if (interrupt.code !== null) break;
    const level = await measureLevel(point, {
      spec,
      clock,
      client: setup.client,
      prompts: setup.reader,
      ids,
      store,
      witness: setup.newWitness(),
      interrupt,
      progress,
      hooks: job.hooks ?? null,
      withoutSecrets: (request) => connection.withoutSecrets(request),
      countChunkTokens: (requests) =>
        chunkTokens(spec, requests, scratch, (warning) => {
          draft.warnings.push(warning);
          progress.say(`warning: ${warning}`);
        }),
    }).catch((error: unknown) => {
      draft.write(levels, 'failed', errorText(error));
      throw error;
    });
    levels.push(level);
    levels.sort((a, b) => a.point - b.point);
    draft.write(levels, 'running', null);
    if (level.requests.sent > 0 && level.requests.good === 0 && interrupt.code === null) {
      stopped = `no request of C=${point.concurrency} ended well, so the rest of the sweep was not run`;
      break;
    }
  }
  const report =
    interrupt.code !== null
      ? draft.write(levels, 'interrupted', 'interrupted by a signal')
      : draft.write(levels, stopped === null ? 'complete' : 'failed', stopped);
  return { report, exitCode: exitCodeOf(report, interrupt.code) };
}

/** The report as far as it is known, written to the run's folder in every format. */
class ReportDraft {
  readonly warnings: string[] = [];
  readonly #job: SweepJob;
  readonly #spec: RunSpec;
  readonly #target: TargetFacts;
  readonly #prompts: PromptFacts;

  constructor(job: SweepJob, spec: RunSpec, target: TargetFacts, prompts: PromptFacts) {
    this.#job = job;
    this.#spec = publicSpec(spec);
    this.#target = target;
    this.#prompts = prompts;
  }

  write(levels: readonly LevelReport[], status: Report['status'], statusDetail: string | null): Report {
    const { store, clock, provenance } = this.#job;
    const disk = store.missing === null ? [] : [`not on disk: ${store.missing}`];
    const report: Report = {
      schema: REPORT_SCHEMA,
      name: this.#spec.name,
      status,
      statusDetail,
      origin: clock.origin,
      finishedUtc: status === 'running' ? null : new Date().toISOString(),
      spec: this.#spec,
      target: this.#target,
      prompts: this.#prompts,
      tags: this.#spec.tags,
      provenance,
      warnings: [...this.warnings, ...disk],
      definitions: DEFINITIONS,
      levels,
    };
    for (const exporter of EXPORTERS) store.document(exporter.file, exporter.render(report));
    return report;
  }
}

/** A folder for this run's time. Exit 2 when the system's temporary folder takes none. */
function makeScratch(): string {
  try {
    return mkdtempSync(path.join(os.tmpdir(), 'bench-'));
  } catch (error) {
    throw usageError(
      `cannot make a temporary folder in ${os.tmpdir()} (${errorText(error)})`,
      'make room there, or name another with the variable TMPDIR',
    );
  }
}

/** What is known of lengths that no local tokenizer of the model stands behind. */
function estimateNote({ template }: PromptFacts): string {
  const share =
    template.tokens === null
      ? 'its template is unknown'
      : `its template adds ${template.tokens} tokens by its own count`;
  return `no --tokenizer given: lengths are estimates until the server's usage proves each (${share})`;
}

/** The exit code that a finished run earned, by the table of core/errors. */
function exitCodeOf(report: Report, signal: ExitCode | null): ExitCode {
  const codes: ExitCode[] = signal === null ? [] : [signal];
  const sent = sum(report.levels.map((level) => level.requests.sent));
  const failed = sum(report.levels.map((level) => level.requests.failed));
  if (sent > 0 && failed === sent) codes.push(EXIT.target);
  if (report.levels.some((level) => level.failureRatio > report.spec.maxFailureRatio))
    codes.push(EXIT.verdict);
  if (
    report.spec.requireExact &&
    report.levels.some(
      (level) =>
        level.islProof.deviations +
          level.oslProof.deviations +
          level.islProof.unknown +
          level.oslProof.unknown >
        0,
    )
  ) {
    codes.push(EXIT.verdict);
  }
  if (report.spec.requireValid && report.levels.some((level) => level.validity.verdict !== 'valid'))
    codes.push(EXIT.invalid);
  return worstExit(codes);
}

/** Both results; when one fails the other is waited for, so that no child or socket outlives the error. */
async function settleBoth<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b]);
  if (first.status === 'rejected') throw first.reason;
  if (second.status === 'rejected') throw second.reason;
  return [first.value, second.value];
}
