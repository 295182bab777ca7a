import { WITNESS_RATIO, witnessGap } from '../core/audit.ts';
import type { LevelReport, Report, Witness, WitnessCount } from '../core/report.ts';
import { formatDuration } from '../core/units.ts';
import { endNotes } from './end-notes.ts';
import { figure, grouped, percent } from './figures.ts';
import { lengthNotes } from './length-notes.ts';
import { groupBy, levelNames, levelsRun, showsTokenItl } from './level-names.ts';
import { sentences } from './level-sentences.ts';
import { loadNotes, networkNotes } from './load-notes.ts';
import type { Note } from './note.ts';
import { openLoopNotes } from './open-loop-notes.ts';
import { harmless } from './page-style.ts';
import { promptNote } from './prompt-note.ts';
import { serverNotes } from './server-notes.ts';
import { streamNotes } from './stream-notes.ts';
import { turnNotes } from './turn-notes.ts';
import { validityNotes } from './validity-notes.ts';

/** A larger part of the input from the server's cache than this makes TTFT another measurement. */
const CACHED_RATIO = 0.01;
/** More levels than this would make a wall of numbers. */
const STEADY_LEVELS = 6;

/** All that has to be said of a run beside its table, each thing once, loud ones first. */
export function runNotes(report: Report): Note[] {
  const notes = [
    ...stackNotes(report),
    ...partialNotes(report),
    ...failureNotes(report),
    ...validityNotes(report),
    ...report.warnings.map((text) => ({ topic: 'warning', text: harmless(text), loud: true })),
    ...lengthNotes(report),
    ...cacheNotes(report),
    ...textNotes(report),
    ...endNotes((of) => sentences(report, of)),
    ...wasteNotes(report),
    ...resentNotes(report),
    ...streamNotes(report),
    ...itlNotes(report),
    ...steadyNotes(report),
    ...openLoopNotes(report, (of) => sentences(report, of)),
    ...turnNotes((of) => sentences(report, of)),
    ...witnessNotes(report),
    ...serverNotes(report),
    ...networkNotes(report),
    ...loadNotes(report),
    promptNote(report),
  ];
  return [...notes.filter((note) => note.loud), ...notes.filter((note) => !note.loud)];
}

function partialNotes(report: Report): Note[] {
  const partial = report.levels.filter((level) => level.status === 'partial');
  return partial.map((level) => {
    const planned = report.spec.points.find((point) => point.index === level.point)?.requests ?? null;
    const sent = grouped(level.requests.sent);
    const text =
      planned === null
        ? `cut off after ${sent} requests`
        : level.requests.sent >= planned
          ? `${grouped(level.requests.failed)} of ${sent} requests failed`
          : `cut off after ${sent} of ${grouped(planned)} requests`;
    const why = level.statusReason ? `: ${harmless(level.statusReason)}` : '';
    return { topic: 'partial', text: `${levelNames(report, [level])}: ${text}${why}`, loud: true };
  });
}

/** How the stack came up, why it failed, and which levels were not run for its sake. */
function stackNotes(report: Report): Note[] {
  const skipped = report.levels
    .filter((level) => level.status === 'skipped')
    .map((level) => ({
      topic: 'skipped',
      text: `${levelNames(report, [level])}: ${harmless(level.statusReason ?? 'not run')}`,
      loud: true,
    }));
  const { stack } = report;
  if (!stack) return skipped;
  const readyS = stack.startupS['stack.ready'];
  const where = stack.jobId === null ? stack.mode : `job ${stack.jobId} on ${stack.nodes.join(', ')}`;
  const up = readyS === undefined ? '' : `, ready after ${formatDuration(readyS * 1_000)}`;
  return [
    ...skipped,
    ...(stack.failure === null ? [] : [{ topic: 'stack', text: harmless(stack.failure), loud: true }]),
    {
      topic: 'stack',
      text: harmless(`${stack.name} (${where})${up}; its logs and plan are in ${stack.dir}`),
      loud: false,
    },
  ];
}

/** Failures by class, the same first message of several levels in one line. */
function failureNotes(report: Report): Note[] {
  const failures = report.levels.flatMap((level) =>
    Object.entries(level.failures).map(([name, failure]) => ({ level, name, ...failure })),
  );
  const classes = [...groupBy(failures, ({ name, first }) => `${name}: ${first}`).values()].map((ones) => {
    const count = ones.reduce((sum, one) => sum + one.count, 0);
    const { name, first } = ones[0]!;
    const at = levelNames(
      report,
      ones.map((one) => one.level),
    );
    return { topic: 'failures', text: `${grouped(count)} ${name} at ${at}: ${harmless(first)}`, loud: true };
  });
  const warmup = sentences(report, ({ requests }) =>
    requests.warmupFailed === 0
      ? null
      : `${grouped(requests.warmupFailed)} of ${grouped(requests.warmup)} warm-up requests failed`,
  );
  return [...classes, ...warmup.map((text) => ({ topic: 'failures', text, loud: true }))];
}

function cacheNotes(report: Report): Note[] {
  const share = ({ cachedTokens, inputTokens }: LevelReport): number =>
    inputTokens === 0 ? 0 : (cachedTokens ?? 0) / inputTokens;
  // What prompts share on purpose is there to be cached.
  const isExpected = (level: LevelReport): boolean =>
    level.turns === undefined
      ? share(level) <= CACHED_RATIO + sharedRatio(report, level)
      : (level.turns[0]?.cachedRatio ?? 0) <= CACHED_RATIO;
  const warm = sentences(
    report,
    (level) =>
      isExpected(level)
        ? null
        : `${grouped(level.cachedTokens!)} prompt tokens (${percent(share(level))} of the input) came from the server's cache, so TTFT is shorter than for cold prompts`,
    'WARNING',
  );
  const cold = sentences(report, (level) => {
    if (level.requests.good === 0) return null;
    if (level.cachedTokens === null)
      return 'the server did not say how many prompt tokens came from its cache';
    if (!isExpected(level)) return null;
    const part = level.cachedTokens === 0 ? '' : ` (${percent(share(level))} of the input)`;
    return `${grouped(level.cachedTokens)} prompt tokens${part} came from the server's cache`;
  });
  return [
    ...warm.map((text) => ({ topic: 'cache', text, loud: true })),
    ...cold.map((text) => ({ topic: 'cache', text, loud: false })),
  ];
}

/** The largest share of a level's input that was there to be cached: by the second level all prefixes are. */
function sharedRatio({ prompts }: Report, { isl }: LevelReport): number {
  return Math.max(prompts.sharedRatio ?? 0, prompts.prefix === undefined ? 0 : prompts.prefix.tokens / isl);
}

function textNotes(report: Report): Note[] {
  return sentences(report, ({ requests }) =>
    requests.goodWithoutText === 0
      ? null
      : `${grouped(requests.goodWithoutText)} good requests showed no text, so they have no latencies`,
  ).map((text) => ({ topic: 'no text', text, loud: true }));
}

function wasteNotes(report: Report): Note[] {
  const wasted = report.levels.reduce((sum, level) => sum + level.wastedOutputTokens, 0);
  if (wasted === 0) return [];
  return [
    {
      topic: 'wasted',
      text: `${grouped(wasted)} output tokens came from requests that failed; no rate counts them`,
      loud: false,
    },
  ];
}

function resentNotes(report: Report): Note[] {
  return sentences(report, ({ requests: { resent = 0, sent } }) =>
    resent === 0
      ? null
      : `${grouped(resent)} of ${grouped(sent)} requests were sent a second time, on a new connection, since the server had closed the kept one without an answer; their times count from the first send (--connection-per-request reuses none)`,
  ).map((text) => ({ topic: 'resent', text, loud: false }));
}

function itlNotes(report: Report): Note[] {
  const perToken = !showsTokenItl(report)
    ? []
    : sentences(report, ({ tokensPerChunk }) =>
        tokensPerChunk.mean === null || tokensPerChunk.mean <= 1
          ? null
          : `chunks carried ${tokensPerChunk.mean.toFixed(2)} tokens on average; token ITL shares each gap among its tokens`,
      );
  const unknown = sentences(report, ({ chunkTokensBy, requests }) => {
    const count = chunkTokensBy['unknown'] ?? 0;
    return count === 0
      ? null
      : `tokens per chunk are unknown for ${grouped(count)} of ${grouped(requests.good)} requests; their ITL is by chunk alone`;
  });
  return [...perToken, ...unknown].map((text) => ({ topic: 'ITL', text, loud: false }));
}

function steadyNotes(report: Report): Note[] {
  const run = levelsRun(report);
  const steady = run.flatMap(({ steady }, i) =>
    steady.reason === null ? [{ level: run[i]!, ...steady }] : [],
  );
  const none = sentences(
    report,
    ({ steady }) => (steady.reason === null ? null : harmless(steady.reason)),
    'no window',
  );
  const notes = none.map((text) => ({ topic: 'steady', text, loud: false }));
  if (steady.length === 0) return notes;
  const shares = steady.map(({ shareRatio }) => shareRatio);
  const text =
    steady.length > STEADY_LEVELS
      ? `the window is ${percent(Math.min(...shares))} to ${percent(Math.max(...shares))} of a level; see steady.* in summary.csv`
      : `output tok/s in the window (its share of the level): ${steady
          .map(
            ({ level, outputTokensPerS, shareRatio }) =>
              `${figure(outputTokensPerS)} at ${levelNames(report, [level])} (${percent(shareRatio)})`,
          )
          .join('; ')}`;
  return [{ topic: 'steady', text, loud: false }, ...notes];
}

/** What differs beyond the tolerance makes a level suspect, and is told with the harness's verdict. */
function witnessNotes(report: Report): Note[] {
  return sentences(report, (level) => {
    if (level.witness === null) return 'no counters of the server to compare with';
    if (level.witness.reason !== null) return `nothing to compare: ${harmless(level.witness.reason)}`;
    const counts = witnessed(level.witness);
    if (counts.length === 0) return 'nothing to compare: the server has none of the counters';
    const apart = counts.filter((count) => witnessGap(count) !== 0);
    const known = level.validity.verdict !== 'valid';
    const told = apart.filter(
      (count) => !known || Math.abs(witnessGap(count)) <= WITNESS_RATIO * Math.max(count.server, count.ours),
    );
    if (told.length > 0) {
      return told
        .map(
          ({ name, server, ours }) =>
            `the server counted ${grouped(server)} ${name}, this run ${grouped(ours)}`,
        )
        .join('; ');
    }
    return apart.length > 0
      ? null
      : `the server's own counters agree on ${list(counts.map(({ name }) => name))}`;
  }).map((text) => ({ topic: 'witness', text, loud: false }));
}

function witnessed(witness: Witness): (WitnessCount & { readonly name: string })[] {
  return [
    { name: 'requests', pair: witness.requests },
    { name: 'input tokens', pair: witness.inputTokens },
    { name: 'output tokens', pair: witness.outputTokens },
  ].flatMap(({ name, pair }) => (pair === null ? [] : [{ name, ...pair }]));
}

/** `a`, `a and b`, `a, b and c`. */
function list(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
