import { readFileSync } from 'node:fs';
import path from 'node:path';
import { quantile } from '../../src/core/distribution.ts';
import { judgeGate } from '../../src/core/gate.ts';
import type { GateVerdict } from '../../src/core/gate-check.ts';
import { historyGross } from '../../src/core/grounds.ts';
import type { Policy } from '../../src/core/policy.ts';
import { Random } from '../../src/core/random.ts';
import type { Repeat, RepeatLevel } from '../../src/core/repeat.ts';
import { makeRepeat, makeRepeatLevel } from '../fixtures/repeats.ts';

/** How the runs of a gate are made. */
export interface Scenario {
  readonly name: string;
  /** `apart`: the baseline's runs, later the candidate's; `abba`: in turn; `history`: single runs on as many days, then one. */
  readonly design: 'apart' | 'abba' | 'history';
  /** Runs of a side; of a history, those of the baseline. */
  readonly repeats: number;
  /** Coefficient of variation of a level's numbers between runs. */
  readonly variationRatio: number;
  /** The same of the candidate's runs; left out where it is that of the baseline's. */
  readonly candidateVariationRatio?: number;
  /** Which part of that variance all levels of a run have in common. */
  readonly commonShare: number;
  /** Autocorrelation of that effect from run to run. */
  readonly runCorrelation: number;
  /** How much slower the machine becomes over the runs of one command, or over all of `abba`. */
  readonly driftRatio: number;
  /** Whether the drift goes on from the baseline's runs to the candidate's, instead of beginning anew. */
  readonly driftGoesOn: boolean;
  /** By what the candidate's times are longer. */
  readonly ttftRatio: number;
  readonly tpotRatio: number;
}

export interface Outcome {
  readonly gates: number;
  readonly failed: number;
  readonly passed: number;
  readonly inconclusive: number;
}

const QUIET: Scenario = {
  name: '',
  design: 'apart',
  repeats: 5,
  variationRatio: 0.02,
  commonShare: 0.5,
  runCorrelation: 0,
  driftRatio: 0,
  driftGoesOn: false,
  ttftRatio: 0,
  tpotRatio: 0,
};

/** Nothing has become worse: a gate that fails is a false alarm. */
export const UNCHANGED: readonly Scenario[] = [
  { ...QUIET, name: 'run CV 2 %' },
  { ...QUIET, name: 'run CV 2 %, the same for all levels', commonShare: 1 },
  { ...QUIET, name: 'run CV 0.5 %', variationRatio: 0.005 },
  { ...QUIET, name: 'run CV 5 %', variationRatio: 0.05 },
  { ...QUIET, name: 'run CV 2 %, each command slows by 2 %', driftRatio: 0.02 },
  { ...QUIET, name: 'run CV 2 %, runs correlated by 0.1', runCorrelation: 0.1 },
  { ...QUIET, name: 'A B B A, run CV 2 %, slowing by 4 % in all', design: 'abba', driftRatio: 0.04 },
  { ...QUIET, name: 'one run against eight days', design: 'history', repeats: 8 },
  { ...QUIET, name: 'three runs a side, run CV 2 %', repeats: 3 },
  { ...QUIET, name: 'three runs a side, run CV 2 %, the same for all levels', repeats: 3, commonShare: 1 },
  { ...QUIET, name: 'three runs a side, run CV 20 %', repeats: 3, variationRatio: 0.2, commonShare: 1 },
  { ...QUIET, name: 'one run against three days', design: 'history', repeats: 3 },
];

/** What two commands one after the other cannot tell from a change, or from more certainty than there is, and sides not taken alike. */
export const BEYOND: readonly Scenario[] = [
  { ...QUIET, name: 'run CV 2 %, runs correlated by 0.3', runCorrelation: 0.3 },
  {
    ...QUIET,
    name: 'run CV 2 %, slowing by 4 % in all, baseline first',
    driftRatio: 0.04,
    driftGoesOn: true,
  },
  {
    ...QUIET,
    name: 'three runs a side, run CV 2 %, the candidate’s 10 %',
    repeats: 3,
    candidateVariationRatio: 0.1,
    commonShare: 1,
  },
];

/** A change that few runs show. */
const GROSS: Scenario = { ...QUIET, repeats: 3, commonShare: 1, tpotRatio: 1.5 };

/** Something has become worse: a gate that fails is right. */
export const WORSE: readonly Scenario[] = [
  { ...QUIET, name: 'run CV 2 %: TPOT +5 %', tpotRatio: 0.05 },
  { ...QUIET, name: 'run CV 2 %: TTFT +10 %', ttftRatio: 0.1 },
  { ...QUIET, name: 'run CV 1 %: TPOT +5 %', variationRatio: 0.01, tpotRatio: 0.05 },
  { ...QUIET, name: 'A B B A, slowing by 4 %: TPOT +5 %', design: 'abba', driftRatio: 0.04, tpotRatio: 0.05 },
  {
    ...QUIET,
    name: 'run CV 2 %, the same for all levels: TPOT +5 %',
    commonShare: 1,
    tpotRatio: 0.05,
  },
  { ...GROSS, name: 'three runs a side, run CV 2 %: TPOT +20 %', tpotRatio: 0.2 },
  { ...GROSS, name: 'three runs a side, run CV 2 %: TPOT +150 %' },
  { ...GROSS, name: 'three runs a side, run CV 10 %: TPOT +150 %', variationRatio: 0.1 },
  {
    ...GROSS,
    name: 'three runs a side, run CV 2 %, the candidate’s 25 %: TPOT +150 %',
    candidateVariationRatio: 0.25,
  },
  { ...GROSS, name: 'one run against three days, run CV 2 %: TPOT +150 %', design: 'history' },
];

export const POLICY: Policy = {
  rules: ['ttftMs.p50', 'tpotMs.p50'].map((metric) => ({
    metric,
    level: null,
    worseRatio: 0.02,
    limit: null,
  })),
  maxFailureRatio: 0,
  requireValid: true,
  requireExact: false,
};

const LEVELS = [1, 2, 4, 8, 16, 32, 64, 128];
/** As the levels of `makeRepeatLevel`. */
const OSL = 1_000;
/** Runs of a side of recorded runs. */
const REPEATS = 5;
const WAVES = 4;
/** Correlation of one wave of requests with the next. */
const WAVE_CORRELATION = 0.6;

/** Runs so many gates of a scenario, each on runs of its own. */
export function simulate(scenario: Scenario, gates: number, seed: number): Outcome {
  const random = new Random('gate', seed, scenario.name);
  return tally(gates, () => judgeGate({ ...sidesOf(scenario, random), anchor: null }, POLICY).verdict);
}

/** In how many gates, three runs a side and nothing changed, a change of either metric over all levels was called gross. */
export function grossAlarms(variationRatio: number, gates: number, seed: number): number {
  const scenario: Scenario = { ...QUIET, repeats: 3, commonShare: 1, variationRatio };
  const random = new Random('gross', seed, `${variationRatio}`);
  let alarms = 0;
  for (let i = 0; i < gates; i++) {
    const { changes } = judgeGate({ ...sidesOf(scenario, random), anchor: null }, POLICY).baseline;
    if (changes.some(({ level, gross }) => level === null && gross === 'worse')) alarms++;
  }
  return alarms;
}

/**
 * In how many of `draws` comparisons of one run with a history of `days` where nothing changed, each a log-normal draw of the same
 * CV, the run was called grossly worse.
 */
export function historyGrossAlarms(
  days: number,
  variationRatio: number,
  draws: number,
  seed: number,
): number {
  const random = new Random('history gross', seed, `${days} ${variationRatio}`);
  const sigma = Math.sqrt(Math.log1p(variationRatio ** 2));
  const value = (): number => Math.exp(sigma * normal(random));
  let alarms = 0;
  for (let i = 0; i < draws; i++) {
    const base = Array.from({ length: days }, value);
    if (historyGross({ base, cand: [value()] }) === 'rise') alarms++;
  }
  return alarms;
}

function tally(gates: number, judge: () => GateVerdict): Outcome {
  const counts = { pass: 0, fail: 0, inconclusive: 0 };
  for (let i = 0; i < gates; i++) counts[judge()]++;
  return { gates, failed: counts.fail, passed: counts.pass, inconclusive: counts.inconclusive };
}

function sidesOf(scenario: Scenario, random: Random): { baseline: Repeat[]; candidate: Repeat[] } {
  if (scenario.design === 'history') {
    const last = scenario.repeats;
    const days = Array.from(
      { length: last + 1 },
      (_, day) => runsOf(scenario, random, [day === last], day)[0]!,
    );
    return { baseline: days.slice(0, last), candidate: days.slice(last) };
  }
  const { repeats } = scenario;
  const first = Array.from({ length: 2 * repeats }, (_, nth) =>
    scenario.design === 'abba' ? nth % 4 === 1 || nth % 4 === 2 : nth >= repeats,
  );
  const together = scenario.design === 'abba' || scenario.driftGoesOn;
  const runs = together
    ? runsOf(scenario, random, first, 0)
    : [
        ...runsOf(scenario, random, first.slice(0, repeats), 0),
        ...runsOf(scenario, random, first.slice(repeats), 1),
      ];
  return {
    baseline: runs.filter((_, nth) => !first[nth]),
    candidate: runs.filter((_, nth) => first[nth]),
  };
}

/** Runs one after another; `changed` tells which are the candidate's. */
function runsOf(scenario: Scenario, random: Random, changed: readonly boolean[], day: number): Repeat[] {
  const common = wander(random, scenario.runCorrelation);
  const { variationRatio, candidateVariationRatio = variationRatio } = scenario;
  return changed.map((isChanged, nth) => {
    const [ofRun, ofLevel] = [scenario.commonShare, 1 - scenario.commonShare].map(
      (share) => (isChanged ? candidateVariationRatio : variationRatio) * Math.sqrt(share),
    ) as [number, number];
    const drift = changed.length === 1 ? 0 : (scenario.driftRatio * nth) / (changed.length - 1);
    const slow = { prefill: ofRun * common(), decode: ofRun * common() };
    const levels = LEVELS.map((concurrency) => {
      const times = timesOf(concurrency, random, {
        ttft:
          Math.exp(drift + slow.prefill + ofLevel * normal(random)) *
          (isChanged ? 1 + scenario.ttftRatio : 1),
        tpot:
          Math.exp(drift + slow.decode + ofLevel * normal(random)) * (isChanged ? 1 + scenario.tpotRatio : 1),
      });
      return levelOf(concurrency, WAVES * concurrency, times);
    });
    return repeatOf(`day ${day}`, day, nth, levels);
  });
}

/** Standard normal numbers, each correlated with the last but one: two effects take turns. */
function wander(random: Random, correlation: number): () => number {
  const last: [number, number] = [normal(random), normal(random)];
  let turn = 0;
  return () => {
    turn = 1 - turn;
    const value = last[turn]!;
    last[turn] = correlation * value + Math.sqrt(1 - correlation ** 2) * normal(random);
    return value;
  };
}

/** A level of lock-stepped waves: requests of a wave queue for prefill, then decode side by side. */
function timesOf(
  concurrency: number,
  random: Random,
  factor: { readonly ttft: number; readonly tpot: number },
): Record<string, number> {
  const ttft: number[] = [];
  const tpot: number[] = [];
  let tookMs = 0;
  let wave = normal(random);
  for (let nth = 0; nth < WAVES; nth++) {
    wave = WAVE_CORRELATION * wave + Math.sqrt(1 - WAVE_CORRELATION ** 2) * normal(random);
    const pace = Math.exp(0.01 * wave);
    let longestMs = 0;
    for (let place = 1; place <= concurrency; place++) {
      const first = 80 * (1 + place / 4) * factor.ttft * pace * Math.exp(0.05 * normal(random));
      const each = (8 + concurrency / 16) * factor.tpot * pace * Math.exp(0.01 * normal(random));
      ttft.push(first);
      tpot.push(each);
      longestMs = Math.max(longestMs, first + each * (OSL - 1));
    }
    tookMs += longestMs;
  }
  return {
    'ttftMs.p50': median(ttft),
    'tpotMs.p50': median(tpot),
    outputTokensPerS: (WAVES * concurrency * OSL * 1_000) / tookMs,
  };
}

function median(values: number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(2 * Math.PI * random.float());
}

function levelOf(concurrency: number, good: number, values: Record<string, number>): RepeatLevel {
  return makeRepeatLevel(concurrency, values, { sent: good, good });
}

const BEGIN_MS = Date.parse('2026-06-01T00:00:00Z');

/** Run `nth` of what was made on that day. */
function repeatOf(set: string, day: number, nth: number, levels: Repeat['levels']): Repeat {
  return makeRepeat(levels, {
    set,
    utc: new Date(BEGIN_MS + day * 86_400_000 + nth * 60_000).toISOString(),
  });
}

/** Real runs of one unchanged server, in the order in which they were made. */
interface Recording {
  readonly about: string;
  readonly levels: readonly { readonly concurrency: number; readonly good: number }[];
  readonly metrics: readonly string[];
  /** By run, by level, by metric. */
  readonly runs: readonly (readonly (readonly number[])[])[];
}

export const RECORDING = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../fixtures/recorded-runs.json'), 'utf8'),
) as Recording;

/** Gates on recorded runs, `repeats` a side, from every start that there is: the first ones against the others, or in turn. */
export function recordedInOrder(design: 'apart' | 'abba', repeats = REPEATS): Outcome {
  const starts = RECORDING.runs.length - 2 * repeats + 1;
  const isSecond = (nth: number): boolean =>
    design === 'abba' ? nth % 4 === 1 || nth % 4 === 2 : nth >= repeats;
  const order = range(0, 2 * repeats).sort((a, b) => Number(isSecond(a)) - Number(isSecond(b)));
  let start = 0;
  return tally(starts, () => {
    const first = start++;
    return recordedGate(
      order.map((nth) => first + nth),
      NONE,
    );
  });
}

/** Gates on recorded runs drawn at random, `repeats` a side. */
export function recordedAtRandom(
  gates: number,
  seed: number,
  change: Change = NONE,
  repeats = REPEATS,
): Outcome {
  const random = new Random('recorded', seed);
  return tally(gates, () => {
    const left = range(0, RECORDING.runs.length);
    const drawn = range(0, 2 * repeats).map(() => left.splice(random.integer(0, left.length - 1), 1)[0]!);
    return recordedGate(drawn, change);
  });
}

/** By what a metric of the candidate is multiplied. */
type Change = Readonly<Record<string, number>>;
const NONE: Change = {};

function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, nth) => from + nth);
}

function recordedGate(chosen: readonly number[], change: Change): GateVerdict {
  const side = (numbers: readonly number[], factors: Change): Repeat[] =>
    numbers.map((number) =>
      repeatOf(
        'recorded',
        0,
        number,
        RECORDING.levels.map(({ concurrency, good }, level) =>
          levelOf(
            concurrency,
            good,
            Object.fromEntries(
              RECORDING.metrics.map((metric, nth) => [
                metric,
                RECORDING.runs[number]![level]![nth]! * (factors[metric] ?? 1),
              ]),
            ),
          ),
        ),
      ),
    );
  const baseline = side(chosen.slice(0, chosen.length / 2), NONE);
  const candidate = side(chosen.slice(chosen.length / 2), change);
  return judgeGate({ baseline, candidate, anchor: null }, POLICY).verdict;
}
