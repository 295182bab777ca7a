import { constants } from 'node:os';
import { FATAL_ANY_TIME, type FailurePattern, matchFailure } from './failure-patterns.ts';
import {
  allCancelled,
  BURST_MS,
  evidenceOf,
  exitCodeOf,
  type FailureSign,
  firstCause,
  hasEnded,
  loudness,
  shortened,
  suspicion,
  WEIGHT,
} from './failure-signs.ts';
import { levelOf, parseLogLine } from './log-line.ts';
import { LogStream, type SeenCrash } from './log-stream.ts';
import { ownMeaning } from './own-rules.ts';
import { PLAIN_HINTS } from './plain-hints.ts';
import { withoutSecrets } from './secrets.ts';
import { type SrunEvent, srunSays } from './srun-says.ts';
import { toldBy } from './srun-signs.ts';
import { type Watched, type WatchedStep, type Watching, watched } from './watched-step.ts';
import type { FailureClass, Why } from './why.ts';

/** Signs kept; what comes after so many is no first error. */
const MOST_SIGNS = 400;
/** trtllm-llmapi-launch: its ranks wait on when the command that rank 0 started is dead. */
const LAUNCHER = /\brank\d+ run (?:mgmn \w+ node|.+ in background)/;

/** A line of level ERROR that means nothing alone, but explains an end that nothing else explains. */
const ERROR_LINE: FailurePattern = {
  pattern: /^/,
  failureClass: 'exit',
  hint: null,
  strength: 'symptom',
  action: 'warn',
};

/** What `srun --verbose` prints of its own options. */
const OPTION_LIST = /^srun: (?:defined options|-{5,}|end of defined options|[\w-]+ +: )/;

/** How sure it is that something is broken: `failing` while more lines may still explain it. */
export type Finding = 'quiet' | 'failing' | 'settled';

/**
 * Finds the first error of a stack among the logs of its steps, what srun says, and how the steps end.
 * Feed it everything in the order of arrival, with one clock; ask `look` now and then, and `why` once it
 * says `settled`. Do not feed it what comes after a wanted stop.
 */
export class FailureFinder {
  readonly #steps: ReadonlyMap<string, Watched>;
  readonly #settleMs: number;
  readonly #streams = new Map<string, Watching>();
  readonly #signs: FailureSign[] = [];
  readonly #outlived = new Map<string, FailureSign>();
  #serves = false;

  /** `settleMs`: how long after the first sign of a failure to wait for what explains it. */
  constructor(steps: readonly WatchedStep[], settleMs = 1500) {
    this.#settleMs = settleMs;
    this.#steps = new Map(steps.map((step) => [step.id, watched(step)]));
  }

  /**
   * From now on requests are served: a crash that its process outlives may be of one request alone, and is only
   * suspect, unless it is of a kind after which an engine cannot go on.
   */
  serving(): void {
    this.#serves = true;
  }

  /** A line of a step's log, both streams of its tasks. `atMs`: when it was read. */
  taskLine(stepId: string, file: string, raw: string, atMs: number): void {
    const step = this.#step(stepId);
    const event = srunSays(raw);
    const { rank, text } = parseLogLine(raw, step.step.srunLogFile !== null);
    const stream = this.#stream(step, file, rank);
    for (const line of text.split('\n')) {
      if (event !== null) stream.lines.remember(withoutSecrets(line), atMs);
      else this.#text(stream, withoutSecrets(line), atMs);
    }
    if (event !== null) this.#event(step, stream, event, atMs);
  }

  /** A line of srun's own stderr; with no `--output` the tasks' stderr comes there too. */
  srunLine(stepId: string, file: string, raw: string, atMs: number): void {
    if (srunSays(raw) === null && !raw.startsWith('srun:')) {
      this.taskLine(stepId, file, raw, atMs);
      return;
    }
    if (OPTION_LIST.test(raw)) return;
    const step = this.#step(stepId);
    const stream = this.#stream(step, file, null);
    stream.lines.remember(withoutSecrets(raw), atMs);
    const event = srunSays(raw);
    if (event !== null) this.#event(step, stream, event, atMs);
  }

  /** The end of the process that the supervisor started: srun, or the command itself in local mode. */
  stepEnded(
    stepId: string,
    end: { readonly code: number | null; readonly signal: NodeJS.Signals | null },
    atMs: number,
  ): void {
    const { step, started } = this.#step(stepId);
    const exitCode = end.code ?? (end.signal === null ? null : 128 + constants.signals[end.signal]);
    if (end.code === 0 && !step.exitZeroFails) return;
    const how =
      end.code === null ? `was ended by ${end.signal ?? 'a signal'}` : `ended with exit code ${end.code}`;
    const late = end.code === 0 ? ' although it is to serve on' : '';
    const never = step.srunLogFile !== null && !started ? ' before any task started' : '';
    this.#add({
      weight: WEIGHT.stepEnd,
      fails: true,
      failureClass: 'exit',
      message: `the step ${how}${late}${never}`,
      hint: null,
      step: stepId,
      ranks: [],
      node: null,
      exitCode,
      line: null,
      before: [],
      after: [],
      logFile: step.logFile,
      atMs,
    });
  }

  /** Whether something is broken, and whether what there is to know of it has arrived. */
  look(nowMs: number): Finding {
    for (const stream of this.#streams.values())
      if (nowMs - stream.lines.lastMs >= this.#settleMs) this.#addCrash(stream, stream.lines.endCrash());
    const first = this.#signs.find(({ fails }) => fails);
    if (first === undefined) return 'quiet';
    return nowMs - first.atMs >= this.#settleMs ? 'settled' : 'failing';
  }

  /** The first cause by all that was seen so far; null when nothing has failed. */
  why(): Why | null {
    for (const stream of this.#streams.values()) this.#addCrash(stream, stream.lines.lastCrash());
    const sign = firstCause(this.#signs);
    return sign === null ? null : this.#why(sign);
  }

  /** What a step (null: any) has shown since then, of at least that weight, that explains a failure without being one; null when nothing. */
  suspect(
    stepId: string | null,
    sinceMs = Number.NEGATIVE_INFINITY,
    leastWeight: number = WEIGHT.symptom,
  ): Why | null {
    const sign = suspicion(
      this.#signs.filter(({ atMs, weight }) => atMs >= sinceMs && weight >= leastWeight),
      stepId,
    );
    return sign === null ? null : this.#why(sign);
  }

  /** Whether SLURM reports of each of several steps that it was sent a signal, all at the time of the first failure. */
  allCancelled(): boolean {
    return this.#steps.size > 1 && allCancelled(this.#signs, [...this.#steps.keys()]);
  }

  /** Of each step the first crash that it outlived while requests were served. */
  outlived(): readonly Why[] {
    return [...this.#outlived.values()].map((sign) => this.#why(sign));
  }

  #step(id: string): Watched {
    const step = this.#steps.get(id);
    if (step === undefined) throw new Error(`no step ${id} is watched`);
    return step;
  }

  #stream(step: Watched, file: string, rank: number | null): Watching {
    const key = `${step.step.id}\n${file}\n${rank}`;
    const stream = this.#streams.get(key) ?? { step, file, rank, lines: new LogStream() };
    this.#streams.set(key, stream);
    return stream;
  }

  #text(stream: Watching, text: string, atMs: number): void {
    const { crash, taken } = stream.lines.take(text, atMs);
    this.#addCrash(stream, crash);
    if (taken) return;
    const meaning = this.#meaning(stream, text);
    if (meaning !== null) this.#addLine(stream, meaning, { text, ...stream.lines.evidence(), atMs });
    else if (levelOf(text) === 'error')
      this.#addLine(stream, ERROR_LINE, { text, ...stream.lines.evidence(), atMs });
  }

  #meaning(stream: Watching, text: string): FailurePattern | null {
    if (LAUNCHER.test(text)) stream.step.launcher = true;
    const own = ownMeaning(stream.step.failOn, [text]);
    if (own !== null) return own;
    const known = matchFailure(text);
    return known === null ? null : this.#atThisTime(known);
  }

  #addCrash(stream: Watching, seen: SeenCrash | null): void {
    if (seen === null) return;
    const { crash, ...evidence } = seen;
    const meaning = ownMeaning(stream.step.failOn, crash.telling) ?? this.#atThisTime(crash.meaning);
    this.#addLine(stream, meaning, { text: crash.message, ...evidence });
  }

  #atThisTime(meaning: FailurePattern): FailurePattern {
    const survived = this.#serves && !FATAL_ANY_TIME.includes(meaning.failureClass);
    return survived ? { ...meaning, action: 'warn' } : meaning;
  }

  #addLine(
    stream: Watching,
    meaning: FailurePattern,
    told: Pick<FailureSign, 'line' | 'before' | 'after' | 'atMs'> & { readonly text: string },
  ): void {
    const { text, ...evidence } = told;
    const sign: FailureSign = {
      weight: meaning === ERROR_LINE ? WEIGHT.errorLine : WEIGHT[meaning.strength],
      fails: meaning.action === 'fail',
      failureClass: meaning.failureClass,
      message: shortened(text.trim()),
      hint: meaning.hint,
      step: stream.step.step.id,
      ranks: stream.rank === null ? [] : [stream.rank],
      node: null,
      exitCode: null,
      logFile: stream.file,
      ...evidence,
    };
    this.#add(sign);
    const outlived = this.#serves && !sign.fails && meaning.strength !== 'symptom';
    if (outlived && !this.#outlived.has(stream.step.step.id)) this.#outlived.set(stream.step.step.id, sign);
  }

  #event(watchedStep: Watched, stream: Watching, event: SrunEvent, atMs: number): void {
    if (event.kind === 'launching')
      for (const rank of event.ranks) watchedStep.nodeOfRank.set(rank, event.node);
    if (event.kind === 'tasks-started') watchedStep.started = true;
    const told = toldBy(event);
    if (told === null) return;
    if (event.kind === 'complaint' && watchedStep.started) return;
    this.#add({
      ...told,
      message: shortened(told.message),
      step: watchedStep.step.id,
      ranks: event.kind === 'broken' && stream.rank !== null ? [stream.rank] : told.ranks,
      ...stream.lines.evidence(),
      logFile: stream.file,
      atMs,
    });
  }

  /** Of what fails the first signs are kept, of what does not the last of each kind, and of a burst its first. */
  #add(sign: FailureSign): void {
    if (!sign.fails) {
      const old = this.#signs.findIndex(
        ({ fails, step, failureClass, ranks, weight }) =>
          !fails &&
          step === sign.step &&
          failureClass === sign.failureClass &&
          weight === sign.weight &&
          ranks[0] === sign.ranks[0],
      );
      const known = this.#signs[old];
      if (known !== undefined && sign.atMs - known.atMs <= BURST_MS && loudness(sign) <= loudness(known))
        return;
      if (old >= 0) this.#signs.splice(old, 1);
    }
    if (this.#signs.length < MOST_SIGNS) this.#signs.push(sign);
  }

  #why(sign: FailureSign): Why {
    const step = sign.step === null ? null : (this.#steps.get(sign.step) ?? null);
    const rank = sign.ranks[0] ?? null;
    const place = rank === null ? undefined : step?.nodeOfRank.get(rank);
    const ran = step !== null && (step.started || step.step.srunLogFile === null);
    const only = ran && step.step.nodes.length === 1 ? step.step.nodes[0] : undefined;
    const bare =
      sign.weight <= WEIGHT.taskExit && (sign.line === null || sign.logFile !== step?.step.logFile);
    const last = bare ? this.#lastWords(sign) : null;
    const failureClass = this.#class(sign, step);
    return {
      failureClass,
      message: sign.message,
      hint: sign.hint ?? PLAIN_HINTS[failureClass] ?? null,
      step: sign.step,
      rank,
      node: sign.node ?? place ?? only ?? null,
      exitCode: sign.weight === WEIGHT.job ? sign.exitCode : exitCodeOf(sign, this.#signs),
      evidence: evidenceOf(sign, last?.lines.lastLines() ?? null),
      logFile: last?.file ?? sign.logFile,
    };
  }

  /** Of a process that only ended: its log, whose last lines are all there is to see. */
  #lastWords({ step, ranks }: FailureSign): Watching | null {
    const streams = [...this.#streams.values()].filter(
      (stream) => stream.step.step.id === step && stream.file === stream.step.step.logFile,
    );
    const own = streams.filter(({ rank }) => rank !== null && ranks.includes(rank));
    const among = own.length > 0 ? own : streams;
    return among.toSorted((a, b) => b.lines.lastMs - a.lines.lastMs)[0] ?? null;
  }

  /** A crash without a named cause is called by where it happened. */
  #class(sign: FailureSign, step: Watched | null): FailureClass {
    if (sign.failureClass !== 'crash' && sign.failureClass !== 'exit') return sign.failureClass;
    if (sign.failureClass === 'crash' && step?.launcher === true && !hasEnded(sign, this.#signs))
      return 'launcher-crash';
    return (step?.step.tasks ?? 1) > 1 && sign.weight !== WEIGHT.stepEnd ? 'rank-crash' : sign.failureClass;
  }
}
