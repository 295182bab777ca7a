import { rmSync } from 'node:fs';
import { DEFINITION_VERSIONS, DEFINITIONS } from '../core/definitions.ts';
import { BenchError, EXIT, type ExitCode, errorLines, errorText } from '../core/errors.ts';
import { loadText } from '../core/load.ts';
import type { PromptFacts } from '../core/prompt-facts.ts';
import type { LevelReport, Report, TargetFacts } from '../core/report.ts';
import { REPORT_SCHEMA } from '../core/report.ts';
import { publicSpec } from '../core/secrets.ts';
import type { PointSpec, RunSpec } from '../core/spec.ts';
import { unitQuestion } from '../core/trace-question.ts';
import { roundTripMs } from '../endpoints/round-trip.ts';
import { HTML_FILE, htmlExport } from '../exporters/html/export.ts';
import { EXPORTERS } from '../exporters/index.ts';
import type { RunStore } from '../host/store.ts';
import { Connection } from './connect.ts';
import { withLengths } from './dataset-lengths.ts';
import { exitCodeOf, isAllSkipped } from './exit-code.ts';
import { Interrupt } from './interrupt.ts';
import { skippedLevel } from './level.ts';
import { type LevelRunner, LocalRunner, type RunnerTools } from './level-runner.ts';
import { liveProgress, SILENT } from './progress.ts';
import { RankRunner } from './ranks/runner.ts';
import { routeNotes } from './route-notes.ts';
import { makeScratch } from './scratch.ts';
import { ServerWatch } from './server-watch.ts';
import { whySkipped } from './stack/level-guard.ts';
import type { SweepJob } from './sweep-job.ts';
import { targetFacts } from './target-facts.ts';
import { printError } from './terminal.ts';
import { refusedText, refuseUnrecorded, stopWhenRefused } from './unrecorded.ts';
import { ServerWitness } from './witness.ts';

/** How long to wait for the stack's own word on why it has failed. */
const VERDICT_WITHIN_MS = 5_000;
const NONE_FITTED = 'no level fitted into what was left of the allocation';
/** How soon a failure of the stack is seen here at the latest: some looks of its watch, each of which may have to wait for an answer. */
const SEEN_WITHIN_MS = 30_000;
/** Looks after some requests have failed: the one that is under way may have begun before. */
const LOOKS_AFTER_SOME = 2;
/** Looks after most have: a worker that hangs is registered until its lease of 10 s ends. */
const LOOKS_AFTER_MOST = 4;
/** How long the watch takes at most to decide that something is lost. */
const DECIDED_WITHIN_MS = 45_000;

export interface SweepResult {
  readonly report: Report;
  readonly exitCode: ExitCode;
}

/** What is made before the first measured request is sent. */
interface Setup {
  readonly draft: ReportDraft;
  readonly spec: RunSpec;
  readonly todo: readonly PointSpec[];
  readonly newWatch: () => ServerWatch;
}

interface SweepTools extends RunnerTools {
  readonly runner: LevelRunner;
}

/** Runs all points of a sweep in order and rewrites the results after each. */
export async function runSweep(job: SweepJob): Promise<SweepResult> {
  refuseUnrecorded(job.store);
  const scratch = makeScratch();
  // A second signal ends the process without unwinding.
  const clearScratch = (): void => rmSync(scratch, { recursive: true, force: true });
  process.once('exit', clearScratch);
  let runner: LevelRunner | null = null;
  const inFlight = (): number => runner?.inFlight ?? 0;
  const progress = job.quiet ? SILENT : liveProgress(process.stderr, job.spec.points.length, inFlight);
  const interrupt = new Interrupt(job.spec.graceMs, (line) => progress.say(line), job.store.directory);
  const connection = new Connection(job.spec, job.access, job.clock, interrupt.stop);
  const shared = { connection, interrupt, progress, scratch };
  const { stack = null } = job;
  const abandon = (): void => interrupt.abandon();
  stack?.lost.addEventListener('abort', abandon, { once: true });
  let unwatchDisk = (): void => undefined;
  interrupt.listen();
  try {
    runner = job.load ? new RankRunner(job, shared, job.load) : new LocalRunner(job, shared);
    const tools = { ...shared, runner };
    let setup: Setup;
    try {
      setup = await setUp(job, tools);
    } catch (error) {
      refuseInterrupted(interrupt);
      const refused = error instanceof BenchError && error.exitCode === EXIT.usage;
      const wait = { decideWithinMs: DECIDED_WITHIN_MS, stop: interrupt.stop };
      if (!refused) await stack?.verdict(SEEN_WITHIN_MS, wait);
      refuseInterrupted(interrupt);
      const lost = (await stack?.whyLost(VERDICT_WITHIN_MS)) ?? null;
      if (lost !== null) throw new BenchError(EXIT.launch, lost);
      throw error;
    }
    refuseUnrecorded(job.store);
    unwatchDisk = stopWhenRefused(job.store, interrupt, (line) =>
      job.quiet ? printError(`${line}\n`) : progress.say(line),
    );
    return await runPoints(job, setup, tools);
  } finally {
    await runner?.close();
    stack?.lost.removeEventListener('abort', abandon);
    unwatchDisk();
    interrupt.unlisten();
    await connection.close();
    process.off('exit', clearScratch);
    clearScratch();
  }
}

/** Finds out who serves, proves that it streams, and has the prompts made meanwhile. */
async function setUp(job: SweepJob, { connection, progress, runner }: SweepTools): Promise<Setup> {
  const { throughProxy, directly } = routeNotes(connection.controls);
  for (const note of [...throughProxy, ...directly]) progress.say(`note: ${note}`);
  const identified = await connection.identify();
  for (const note of identified.notes) progress.say(`note: ${note}`);
  const { model, server } = identified;
  const asked: RunSpec = { ...job.spec, model };
  const askedPoints = asked.points
    .slice(asked.skip)
    .filter((point) => !job.earlier.some((level) => level.point === point.index));
  const making = runner.prepare({ spec: asked, points: askedPoints, identified });
  // A file with too few rows is refused before anything is asked.
  const ready = asked.prompts.file === undefined ? Promise.resolve() : making;
  const [canary, supply] = await settleBoth(
    ready.then(() => connection.canary(identified)),
    making,
  );
  const spec = withLengths(asked, supply.facts);
  const points = spec.points.filter(({ index }) => askedPoints.some((point) => point.index === index));
  await runner.begin(canary);
  // The prompts are made and nothing is measured yet: this process has nothing else to do.
  const [first] = connection.controls;
  const roundTrip = first!.route.proxy === null ? await roundTripMs(first!.target) : null;
  job.store.document('spec.json', `${JSON.stringify(publicSpec(spec), null, 2)}\n`);
  const draft = new ReportDraft(
    job,
    spec,
    targetFacts(spec, identified, canary, connection.controls, roundTrip),
    supply.facts,
  );
  const question = unitQuestion(spec);
  const warnings = [...supply.warnings, ...(question === null ? [] : [question]), ...canary.warnings];
  draft.warnings.push(...new Set([...job.earlierNotes, ...throughProxy, ...identified.notes, ...warnings]));
  const said = new Set([...throughProxy, ...identified.notes]);
  for (const warning of draft.warnings) if (!said.has(warning)) progress.say(`warning: ${warning}`);
  if (supply.facts.estimates) progress.say(`note: ${estimateNote(supply.facts)}`);
  const { witness, metricsPath } = server;
  const sources = connection.metricSources({
    ownPath: identified.hasMetrics ? metricsPath : null,
    stackDir: job.stack?.dir ?? null,
  });
  draft.write(job.earlier, 'running', null);
  const newWitness = () =>
    witness !== null && identified.hasMetrics ? new ServerWitness(connection.controls, witness) : null;
  return {
    spec,
    todo: points,
    draft,
    newWatch: () => new ServerWatch(newWitness(), sources, job.clock),
  };
}

async function runPoints(job: SweepJob, setup: Setup, tools: SweepTools): Promise<SweepResult> {
  const { clock, stack = null } = job;
  const { spec, draft } = setup;
  const { interrupt, progress, runner } = tools;
  const levels = [...job.earlier];
  let stopped: string | null = null;
  let failure: BenchError | null = null;
  /** What the last level took beside its measured requests. */
  let extraMs: number | null = null;
  for (const [nth, point] of setup.todo.entries()) {
    if (nth > 0) await clock.sleepUntil(clock.now() + spec.pauseMs, interrupt.stop);
    if (interrupt.stop.aborted) break;
    const skipped = whySkipped(levels, point, stack?.leftMs ?? null, extraMs);
    if (skipped !== null) {
      progress.say(`${loadText(point)} ${point.isl}x${point.osl} skipped: ${skipped}`);
      levels.push(skippedLevel(point, skipped, spec.gpus));
      draft.write(levels, 'running', null);
      continue;
    }
    const beganAtMs = clock.now();
    stack?.takeMissing();
    const measured = await runner.measure(point, setup.newWatch()).catch((error: unknown) => {
      draft.write(levels, 'failed', errorText(error));
      throw error;
    });
    const { level, warnings } = measured;
    if (level !== null && level.durationS !== null)
      extraMs = Math.max(0, clock.now() - beganAtMs - level.durationS * 1_000);
    // What made requests fail may be the stack's end, which its supervisor tells a moment later.
    if (stack !== null && interrupt.stop.aborted) await stack.verdict(VERDICT_WITHIN_MS);
    else if (stack !== null && (level?.requests.failed ?? 1) > 0) {
      const most = level === null || level.requests.good < level.requests.failed;
      const looks = most ? LOOKS_AFTER_MOST : LOOKS_AFTER_SOME;
      await stack.verdict(SEEN_WITHIN_MS, { decideWithinMs: DECIDED_WITHIN_MS, looks, stop: interrupt.stop });
    }
    for (const warning of warnings) {
      draft.warnings.push(warning);
      progress.say(`warning: ${warning}`);
    }
    failure = measured.failure;
    if (level === null) break;
    const missing = stack?.takeMissing() ?? null;
    const failed = level.requests.failed > 0;
    const lost = failed || level.status === 'partial' ? (stack?.lostReason ?? null) : null;
    const short = failed && level.status === 'complete' ? missing : null;
    const unrecorded = level.status === 'partial' && job.store.refused.aborted;
    const reason =
      lost ??
      (unrecorded ? refusedText(job.store) : null) ??
      (short === null ? null : `the stack was not whole meanwhile: ${short}`);
    levels.push(reason === null ? level : { ...level, status: 'partial', statusReason: reason });
    levels.sort((a, b) => a.point - b.point);
    draft.write(levels, 'running', null);
    if (failure !== null) break;
    if (stack !== null && stack.lostReason !== null) break;
    if (level.requests.sent > 0 && level.requests.good === 0 && !interrupt.stop.aborted) {
      stopped = `no request of ${loadText(point)} ended well, so the rest of the sweep was not run`;
      break;
    }
  }
  if (failure === null && !interrupt.stop.aborted && isAllSkipped(levels))
    failure = new BenchError(EXIT.launch, NONE_FITTED, 'get an allocation for longer, or measure less');
  if (job.store.refused.aborted) stopped = refusedText(job.store);
  if (failure !== null) {
    stopped = failure.message;
    printError(errorLines(failure));
  }
  const lost = (await stack?.whyLost(VERDICT_WITHIN_MS)) ?? null;
  if (lost !== null) stopped = `the stack is gone: ${lost}`;
  const report =
    interrupt.code !== null
      ? draft.write(levels, 'interrupted', 'interrupted by a signal')
      : draft.write(levels, stopped === null ? 'complete' : 'failed', stopped);
  await writePage(job.store, report);
  const causes = [
    interrupt.code,
    failure?.exitCode ?? null,
    lost === null ? null : EXIT.launch,
    job.store.refused.aborted ? EXIT.usage : null,
  ];
  return { report, exitCode: exitCodeOf(report, causes) };
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
      ...(this.#job.stack ? { stack: this.#job.stack.facts() } : {}),
      warnings: [...this.warnings, ...disk],
      definitions: DEFINITIONS,
      definitionVersions: DEFINITION_VERSIONS,
      levels,
    };
    for (const exporter of EXPORTERS) store.document(exporter.file, exporter.render(report));
    return report;
  }
}

/** The page to look at, beside the other documents. Its lack is no failure of the run. */
async function writePage(store: RunStore, report: Report): Promise<void> {
  try {
    for (const { file, text } of await htmlExport.files(report, () => [])) store.document(file, text);
  } catch (error) {
    printError(`bench: ${HTML_FILE} was not made (${errorText(error)}); please report this\n`);
  }
}

function refuseInterrupted({ code }: Interrupt): void {
  if (code !== null) throw new BenchError(code, 'interrupted before anything was measured');
}

/** What is known of lengths that no local tokenizer of the model stands behind. */
function estimateNote({ template }: PromptFacts): string {
  const share =
    template.tokens === null
      ? 'its template is unknown'
      : `its template adds ${template.tokens} tokens by its own count`;
  return `no --tokenizer given: lengths are estimates until the server's usage proves each (${share})`;
}

/** Both results; when one fails the other is waited for, so that no child or socket outlives the error. */
async function settleBoth<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b]);
  if (first.status === 'rejected') throw first.reason;
  if (second.status === 'rejected') throw second.reason;
  return [first.value, second.value];
}
