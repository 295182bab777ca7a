import path from 'node:path';
import type { InferredOptionTypes, Options } from 'yargs';
import { foundSoFar, leastRequests, nextLevel, type Probe, type SearchRange } from '../core/capacity.ts';
import { BenchError, EXIT, type ExitCode, errorLines, usageError, worstExit } from '../core/errors.ts';
import type { LevelReport } from '../core/report.ts';
import { fileStamp, parseRatio } from '../core/units.ts';
import { type Capacity, renderCapacity } from '../exporters/capacity-table.ts';
import { startClock } from '../host/clock.ts';
import { parseAccess, parseSpec, whole } from './arguments.ts';
import { checkFileLimit } from './level.ts';
import { parseLoad, planLoad } from './load-plan.ts';
import { mockWords, startMockProcess } from './mock-process.ts';
import { measureOnce, type RunEnd } from './one-run.ts';
import {
  LOAD_OPTIONS,
  type MeasureArgs,
  OUTPUT_OPTIONS,
  PROMPT_OPTIONS,
  SPREAD_OPTIONS,
  SWEEP_OPTIONS,
} from './options.ts';
import { pageStyle } from './page.ts';
import { TARGET_OPTIONS } from './target-options.ts';
import { thenClose } from './then-close.ts';
import { LAST_CODES, pauseBetween } from './turns.ts';
import type { AddVerb } from './verb.ts';

const { requests: _requests, duration: _duration, ...LOAD } = LOAD_OPTIONS;
const { 'dry-run': _dry, export: _export, 'export-dir': _dir, ...OUTPUT } = OUTPUT_OPTIONS;
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
  attain: {
    group: OUTPUT.slo.group,
    type: 'string',
    default: '95%',
    describe: 'the share of requests that must meet all limits',
  },
  from: { group: LOAD.arrival.group, type: 'number', default: 1, describe: 'lowest level tried' },
  to: { group: LOAD.arrival.group, type: 'number', default: 1_024, describe: 'highest level tried' },
  precision: {
    group: OUTPUT.slo.group,
    type: 'string',
    default: '5%',
    describe: 'levels this near to one another are told apart no further',
  },
} as const satisfies Record<string, Options>;

type CapacityArgs = InferredOptionTypes<typeof CAPACITY_OPTIONS>;

/** `bench capacity`: the highest concurrency that meets all limits. Exit 1 when even the lowest level misses them. */
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
  const levels: { readonly probe: Probe; readonly level: LevelReport }[] = [];
  const codes: ExitCode[] = [];
  let pauseMs = 0;
  for (;;) {
    const probes = levels.map(({ probe }) => probe);
    const concurrency = nextLevel(probes, range);
    if (concurrency === null) break;
    const cut = levels.length === 0 ? null : await pauseBetween(pauseMs);
    if (cut !== null) {
      codes.push(cut);
      break;
    }
    const order = orderOf(args, range, concurrency);
    pauseMs = order.spec.pauseMs;
    let end: RunEnd;
    try {
      end = await measureOnce({
        ...order,
        argv,
        clock: startClock(),
        directory: path.join(directory, `${levels.length + 1}`),
        earlier: null,
        stack: null,
        quiet: args.quiet,
      });
    } catch (error) {
      if (!(error instanceof BenchError) || levels.length === 0) throw error;
      process.stderr.write(errorLines(error));
      codes.push(error.exitCode);
      break;
    }
    // Requests that failed have not met the limits: that is an answer, and no failure of the search.
    if (end.exitCode !== EXIT.verdict) codes.push(end.exitCode);
    const [level] = end.report.levels;
    if (level === undefined || level.status !== 'complete') break;
    levels.push({ level, probe: { concurrency, sent: level.requests.sent, met: level.goodput!.met } });
    if (LAST_CODES.has(end.exitCode)) break;
  }
  return tell(args, range, levels, codes, directory);
}

function tell(
  args: CapacityArgs,
  range: SearchRange,
  levels: Capacity['levels'],
  codes: readonly ExitCode[],
  directory: string,
): ExitCode {
  const probes = levels.map(({ probe }) => probe);
  const found = foundSoFar(probes, range.targetRatio);
  const complete = nextLevel(probes, range) === null;
  const capacity: Capacity = {
    range,
    limits: args.slo.replaceAll('=', ' ≤ ').replaceAll(',', ', '),
    found,
    levels,
    complete,
  };
  if (args.json) {
    const { limits: _, levels: __, ...answer } = capacity;
    process.stdout.write(`${JSON.stringify({ ...answer, slo: args.slo, probes, directory }, null, 2)}\n`);
  } else if (!args.quiet) {
    process.stdout.write(`${renderCapacity(capacity, pageStyle())}\nresults: ${directory}\n`);
  }
  const missed = complete && found.meets === null && probes.length > 0;
  return worstExit([...codes, ...(missed ? [EXIT.verdict] : [])]);
}

/** What is sent at one level: as many requests as can prove the target where none misses, and some per slot. */
function orderOf(args: CapacityArgs, range: SearchRange, concurrency: number) {
  const perSlot = whole(args['requests-per-concurrency'], 1, '--requests-per-concurrency');
  const target: MeasureArgs = {
    ...args,
    concurrency: String(concurrency),
    requests: Math.max(perSlot * concurrency, leastRequests(range.targetRatio)),
    duration: undefined,
    shape: undefined,
    repeats: 1,
    skip: 0,
    resume: undefined,
    export: [],
    'export-dir': undefined,
    'dry-run': false,
    stack: undefined,
    'stack-run': undefined,
    keep: false,
    preflight: true,
    'load-on': 'login',
  };
  const access = parseAccess(target);
  const bare = parseSpec(target, access, 'capacity');
  const spec = { ...bare, ...parseLoad(args, { concurrency, cores: 1 }) };
  if (spec.load === undefined) checkFileLimit(spec.points, '--to');
  return { spec, access, load: planLoad(spec, args, process.env) };
}

function rangeOf(args: CapacityArgs): SearchRange {
  const from = whole(args.from, 1, '--from');
  const to = whole(args.to, 1, '--to');
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
        ),
    async (argv) => set(await runCapacity(argv, words)),
  );
