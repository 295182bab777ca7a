import { findArrival } from '../arrivals/index.ts';
import { arrivalsBefore } from '../core/arrival.ts';
import { usageError } from '../core/errors.ts';
import type { ArrivalSpec, PointSpec, PromptSpec } from '../core/spec.ts';
import { parseDurationMs } from '../core/units.ts';
import {
  closedLoads,
  type makePoints,
  type PointPlace,
  parseLevels,
  parseRates,
  WARMUP_REQUESTS,
} from './levels.ts';
import { inRange, positiveMs, whole } from './number-checks.ts';
import type { MeasureArgs } from './options.ts';

/** How long a point of an open loop sends where nobody says. */
const DEFAULT_DURATION_MS = 60_000;
/** Requests of a point that its prompts are made for beforehand. */
const MOST_REQUESTS = 1_000_000;
/** Requests in flight of an open loop where nobody says: no host should be asked for more sockets unawares. */
const MOST_IN_FLIGHT = 4_096;

type Loads = Parameters<typeof makePoints>[1];

type LoadArgs = Pick<
  MeasureArgs,
  | 'arrival'
  | 'rate'
  | 'rate-from'
  | 'burstiness'
  | 'slowdown'
  | 'trace-unit'
  | 'max-in-flight'
  | 'concurrency'
  | 'requests'
  | 'requests-per-concurrency'
  | 'duration'
  | 'warmup'
  | 'dataset-path'
>;

/** The loads that a command line asks for, and how they arrive. */
export interface LoadChoice {
  readonly arrival: string;
  /** Absent in a closed loop. */
  readonly arrivalShape?: ArrivalSpec;
  readonly loads: Loads;
}

/** Which option belongs to which arrivals alone. */
const OPTIONS_OF = {
  burstiness: ['gamma'],
  'rate-from': ['ramp'],
  slowdown: ['trace'],
  'trace-unit': ['trace'],
  rate: ['constant', 'poisson', 'gamma', 'ramp'],
  'max-in-flight': ['constant', 'poisson', 'gamma', 'ramp', 'trace'],
  concurrency: ['closed'],
} as const;

/** `--arrival` and all options of the load. `defaultLevels` are those of a closed loop. Exit 2 on bad values. */
export function parseLoads(args: LoadArgs, prompts: PromptSpec, defaultLevels: string): LoadChoice {
  const arrival = args.arrival ?? (args.rate === undefined ? 'closed' : 'poisson');
  for (const [option, arrivals] of Object.entries(OPTIONS_OF)) {
    if (
      args[option as keyof typeof OPTIONS_OF] !== undefined &&
      !(arrivals as readonly string[]).includes(arrival)
    )
      throw usageError(
        `--${option}: --arrival ${arrival} has no use for it`,
        arrival === 'closed'
          ? `give --arrival ${arrivals.join(' or ')}, or --concurrency for a closed loop`
          : `leave it out, or give --arrival ${arrivals.join(' or ')}`,
      );
  }
  if (args.requests !== undefined && args.duration !== undefined)
    throw usageError('--requests and --duration exclude each other', 'give one of them');
  const requests = args.requests === undefined ? null : whole(args.requests, 1, '--requests');
  const turns = prompts.turns?.count ?? 1;
  if (requests !== null && requests % turns !== 0)
    throw usageError(
      `--requests: ${requests} are no whole conversations of ${turns} turns`,
      `give a multiple of ${turns}`,
    );
  const durationMs =
    args.duration === undefined
      ? null
      : positiveMs(parseDurationMs(args.duration, '--duration'), '--duration');
  const warmup = args.warmup === undefined ? null : whole(args.warmup, 0, '--warmup');
  if (arrival === 'closed') {
    const requestsPerConcurrency = whole(args['requests-per-concurrency'], 1, '--requests-per-concurrency');
    const levels = parseLevels(String(args.concurrency ?? defaultLevels));
    return {
      arrival,
      loads: closedLoads({ levels, turns, requestsPerConcurrency, requests, durationMs, warmup }),
    };
  }
  const arrivalShape = shapeOf(arrival, args);
  const slots =
    args['max-in-flight'] === undefined ? MOST_IN_FLIGHT : whole(args['max-in-flight'], 1, '--max-in-flight');
  const order = { arrival, arrivalShape, prompts, requests, durationMs, warmup, slots };
  if (arrival === 'trace') return { arrival, ...traceLoad(order) };
  if (args.rate === undefined)
    throw usageError(`--arrival ${arrival}: the rate is missing`, 'say --rate 4, or several: --rate 1,2,4');
  return {
    arrival,
    arrivalShape,
    loads: parseRates(String(args.rate)).map((ratePerS) => rateLoad(order, ratePerS)),
  };
}

/** Everything of an open load but its rate. */
interface OpenOrder {
  readonly arrival: string;
  readonly arrivalShape: ArrivalSpec;
  readonly prompts: PromptSpec;
  readonly requests: number | null;
  readonly durationMs: number | null;
  readonly warmup: number | null;
  readonly slots: number;
}

function rateLoad(order: OpenOrder, ratePerS: number): Loads[number] {
  return (place) => {
    const durationMs = order.requests === null ? (order.durationMs ?? DEFAULT_DURATION_MS) : null;
    const point = { ...place, ratePerS, concurrency: 1, requests: order.requests, durationMs, warmup: 0 };
    return fitted(order, point, scheduleOf(order, point));
  };
}

/** All rows of the trace, or the first of them; the rate is what they come to. */
function traceLoad(order: OpenOrder): Pick<LoadChoice, 'loads'> & { readonly arrivalShape: ArrivalSpec } {
  const { requests, durationMs, arrivalShape } = order;
  const bare = { index: 0, isl: 0, osl: 0, concurrency: 1, requests, durationMs, warmup: 0 };
  const all = [...scheduleOf(order, bare)];
  if (requests !== null && requests > all.length)
    throw usageError(
      `--requests: ${requests} is more than the ${all.length} rows of ${arrivalShape.tracePath}`,
      'send fewer, or leave it out to send all',
    );
  const count = requests ?? arrivalsBefore(all, durationMs ?? Number.POSITIVE_INFINITY, all.length);
  const sent = all.slice(0, count);
  const spanMs = sent.at(-1) ?? 0;
  const ratePerS = spanMs <= 0 ? sent.length : Number(((sent.length * 1_000) / spanMs).toPrecision(4));
  const load = fitted(order, { ...bare, ratePerS, requests: count }, all);
  return {
    arrivalShape: { ...arrivalShape, traceRows: all.length, traceSpanMs: all.at(-1)! },
    loads: [() => load],
  };
}

function scheduleOf({ arrival, arrivalShape, prompts }: OpenOrder, point: PointSpec): Iterable<number> {
  return findArrival(arrival).schedule!({ point, arrival: arrivalShape, prompts });
}

/** The point with as many requests as its schedule has for it, and slots for them. */
function fitted(
  order: OpenOrder,
  point: PointSpec,
  schedule: Iterable<number>,
): Omit<PointSpec, keyof PointPlace> {
  const { index: _, isl: __, osl: ___, lengths: ____, ...load } = point;
  const turns = order.prompts.turns?.count ?? 1;
  const requests = point.requests ?? turns * arrivalsBefore(schedule, point.durationMs!, MOST_REQUESTS + 1);
  if (requests === 0)
    throw usageError(
      `--duration: no request is due within it at ${point.ratePerS} a second`,
      'measure for longer, or raise --rate',
    );
  if (requests > MOST_REQUESTS)
    throw usageError(
      `--rate: ${point.ratePerS} a second${point.durationMs === null ? '' : ` for ${point.durationMs / 1_000} s`} are more than ${MOST_REQUESTS} requests`,
      'send fewer, or for a shorter time',
    );
  return {
    ...load,
    concurrency: Math.min(order.slots, requests / turns),
    requests,
    warmup: order.warmup ?? Math.min(WARMUP_REQUESTS, Math.ceil(point.ratePerS!)),
  };
}

function shapeOf(arrival: string, args: LoadArgs): ArrivalSpec {
  switch (arrival) {
    case 'gamma':
      return { burstiness: inRange(args.burstiness ?? 1, 0.01, 1_000, '--burstiness') };
    case 'ramp':
      return { fromPerS: inRange(args['rate-from'] ?? 0, 0, 100_000, '--rate-from') };
    case 'trace':
      if (args['dataset-path'] === undefined)
        throw usageError('--arrival trace: the trace is missing', 'name it with --dataset-path FILE');
      return {
        tracePath: args['dataset-path'],
        ...(args['trace-unit'] === undefined ? {} : { traceUnit: args['trace-unit'] }),
        slowdown: inRange(args.slowdown ?? 1, 0.001, 1_000_000, '--slowdown'),
      };
    default:
      return {};
  }
}
