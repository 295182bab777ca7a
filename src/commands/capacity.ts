import path from 'node:path';
import type { InferredOptionTypes, Options } from 'yargs';
import { capacityOf, leastRequests, nextLevel, type SearchRange } from '../core/capacity.ts';
import { EXIT, type ExitCode, usageError, worstExit } from '../core/errors.ts';
import type { LevelReport } from '../core/report.ts';
import { fileStamp, parseDurationMs, parseRatio } from '../core/units.ts';
import { startClock } from '../host/clock.ts';
import { refuseSilentRepeats } from './dataset-options.ts';
import { type LiveOrder, liveOrder } from './live-order.ts';
import { mockWords, startMockProcess } from './mock-process.ts';
import { inRange, positiveMs, whole } from './number-checks.ts';
import { measureOnce } from './one-run.ts';
import { LOAD_OPTIONS, OUTPUT_OPTIONS, PROMPT_OPTIONS, SPREAD_OPTIONS, SWEEP_OPTIONS } from './options.ts';
import { capacitySet } from './sets/capacity-set.ts';
import { saveEnd, saveRunning, setRuns } from './sets/run-set.ts';
import { TARGET_OPTIONS } from './target-options.ts';
import { print, printPage, resultsAreIn } from './terminal.ts';
import { thenClose } from './then-close.ts';
import { runTurns, type Turn } from './turns.ts';
import type { AddVerb } from './verb.ts';

const {
  requests: _requests,
  rate: _rate,
  'rate-from': _from,
  slowdown: _slowdown,
  'trace-unit': _unit,
  arrival,
  ...LOAD
} = LOAD_OPTIONS;
const {
  'dry-run': _dry,
  export: _export,
  'export-dir': _dir,
  'require-exact': _exact,
  'max-failure-ratio': _ratio,
  ...OUTPUT
} = OUTPUT_OPTIONS;
const { shape: _shape, ...PROMPTS } = PROMPT_OPTIONS;

const CAPACITY_OPTIONS = {
  ...TARGET_OPTIONS,
  ...PROMPTS,
  ...LOAD,
  ...SPREAD_OPTIONS,
  'requests-per-concurrency': SWEEP_OPTIONS['requests-per-concurrency'],
  pause: SWEEP_OPTIONS.pause,
  ...OUTPUT,
  slo: { ...OUTPUT.slo, demandOption: true },
  json: { ...OUTPUT.json, describe: 'print the answer and its levels as JSON instead of the table' },
  attain: {
    group: OUTPUT.slo.group,
    type: 'string',
    default: '95%',
    describe: 'the share of requests that must meet all limits',
  },
  arrival: {
    ...arrival,
    choices: arrival.choices.filter((name) => name !== 'trace' && name !== 'ramp'),
    default: 'closed',
    describe: 'closed: the highest number of requests in flight is searched for; else the highest rate',
  },
  duration: {
    ...LOAD.duration,
    describe:
      'open loop: how long each rate is sent at least; longer where fewer requests than prove the share would come [default: 60s]',
  },
  from: { group: arrival.group, type: 'number', default: 1, describe: 'lowest level tried' },
  to: { group: arrival.group, type: 'number', default: 1_024, describe: 'highest level tried' },
  precision: {
    group: OUTPUT.slo.group,
    type: 'string',
    default: '5%',
    describe: 'levels this near to one another are told apart no further',
  },
} as const satisfies Record<string, Options>;

type CapacityArgs = InferredOptionTypes<typeof CAPACITY_OPTIONS>;

/** `bench capacity`: the highest concurrency, or rate of an open loop, that meets all limits. Exit 1 when even the lowest level misses them. */
async function runCapacity(args: CapacityArgs, argv: readonly string[]): Promise<ExitCode> {
  const range = rangeOf(args);
  const mock = args.mock ? await startMockProcess(mockWords(args['mock-flags'])) : null;
  const url = mock === null ? args.url : [mock.url];
  return thenClose(
    () => search({ ...args, url }, range, argv),
    async () => {
      await mock?.stop();
    },
  );
}

async function search(args: CapacityArgs, range: SearchRange, argv: readonly string[]): Promise<ExitCode> {
  const directory =
    args.out ?? path.join('results', `${fileStamp(startClock().origin.utc)}-${args.name ?? 'capacity'}`);
  resultsAreIn(directory);
  const levels: LevelReport[] = [];
  const { pauseMs, prompts } = orderOf(args, range, range.from).spec;
  if (args.dataset !== 'trace') refuseSilentRepeats(prompts, 'bench capacity');
  const next = (): number | null => {
    const { levels: known } = capacityOf(levels, range, '');
    return nextLevel(
      known.map(({ probe }) => probe),
      range,
    );
  };
  function* turns(): Generator<Turn> {
    for (let load = next(); load !== null; load = next()) {
      const order = orderOf(args, range, load);
      const nth = levels.length + 1;
      yield {
        label: null,
        async measure() {
          const end = await measureOnce({
            ...order,
            argv,
            clock: startClock(),
            directory: path.join(directory, `${nth}`),
            earlier: null,
            stack: null,
            quiet: args.quiet,
          });
          const [level] = end.report.levels;
          if (level?.status === 'complete') levels.push(level);
          // Requests that failed have not met the limits: that is an answer, and no failure of the search. Where all did, it
          // is one if the server has answered before.
          const answered = levels.some(({ requests }) => requests.good > 0);
          const isAnswer = level?.status === 'complete' && end.exitCode === EXIT.target && answered;
          return isAnswer ? { ...end, exitCode: EXIT.ok } : end;
        },
      };
      // It was cut.
      if (levels.length < nth) return;
    }
  }
  const question = { range, slo: args.slo };
  const { ends, exitCode } = await runTurns(turns(), {
    pauseMs,
    quiet: args.quiet,
    after: (ended) => saveRunning(capacitySet(setRuns(ended, directory), question, directory), directory),
  });
  const set = capacitySet(setRuns(ends, directory), question, directory);
  const saved = await saveEnd(set, directory, exitCode);
  if (args.json) print(set.json());
  else if (!args.quiet) {
    printPage(`${set.text()}\n`);
    print(`results: ${directory}\n`);
  }
  const { complete, found, levels: measured } = set.capacity;
  const missed = complete && found.meets === null && measured.length > 0;
  return worstExit([exitCode, saved, ...(missed ? [EXIT.verdict] : [])]);
}

/** How long each rate is sent where nobody says. */
const RATE_MS = 60_000;

/** What is sent at one level: as many requests as can prove the target where none misses, and some per slot or for some time. */
function orderOf(args: CapacityArgs, range: SearchRange, load: number): LiveOrder {
  const perSlot = whole(args['requests-per-concurrency'], 1, '--requests-per-concurrency');
  const durationMs =
    args.duration === undefined
      ? RATE_MS
      : positiveMs(parseDurationMs(args.duration, '--duration'), '--duration');
  const wanted = range.over === 'concurrency' ? perSlot * load : Math.ceil((load * durationMs) / 1_000);
  const level = {
    ...args,
    concurrency: range.over === 'concurrency' ? String(load) : undefined,
    rate: range.over === 'rate' ? String(load) : undefined,
    'rate-from': undefined,
    slowdown: undefined,
    'trace-unit': undefined,
    requests: Math.max(wanted, leastRequests(range.targetRatio)),
    duration: undefined,
    shape: undefined,
    repeats: 1,
    skip: 0,
    export: [],
    'export-dir': undefined,
    'require-exact': false,
    'max-failure-ratio': 1,
  };
  return liveOrder(level, 'capacity', '--to');
}

function rangeOf(args: CapacityArgs): SearchRange {
  const over = args.arrival === 'closed' ? 'concurrency' : 'rate';
  const bound = (flag: 'from' | 'to'): number =>
    over === 'concurrency'
      ? whole(args[flag], 1, `--${flag}`)
      : inRange(args[flag], 0.001, 100_000, `--${flag}`);
  const [from, to] = [bound('from'), bound('to')];
  if (over === 'concurrency' && args.duration !== undefined)
    throw usageError(
      '--duration: a closed loop sends a number of requests',
      'leave it out, or give --arrival poisson to search for a rate',
    );
  if (to < from) throw usageError(`--from and --to: ${from} is above ${to}`, 'give the lower one as --from');
  const share = (text: string, flag: string, least: number, most: number): number => {
    const ratio = parseRatio(text);
    if (ratio !== null && ratio >= least && ratio < most) return ratio;
    throw usageError(
      `${flag}: "${text}" is no share from ${least * 100} to below ${most * 100} %`,
      'write it as 95% or 0.95',
    );
  };
  return {
    over,
    from,
    to,
    targetRatio: share(args.attain, '--attain', 0.5, 1),
    precisionRatio: share(args.precision, '--precision', 0, 1),
  };
}

/** Puts `bench capacity` into the parser. */
export const addCapacity: AddVerb = (y, { usage, about, declare, set, argv: words }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(inner, CAPACITY_OPTIONS)
        .example(
          '$0 capacity --isl 4000 --osl 1000 --slo ttft=2s,tpot=50ms',
          'the highest concurrency at which 95 % of the requests meet both',
        )
        .example(
          '$0 capacity --isl 4000 --osl 1000 --slo ttft=5s --attain 99% --from 16 --to 256',
          'in a range',
        )
        .example(
          '$0 capacity --isl 4000 --osl 1000 --slo ttft=2s --arrival poisson --to 64',
          'the highest rate of independent users',
        ),
    async (argv) => set(await runCapacity(argv, words)),
  );
