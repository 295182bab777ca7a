import { greatest, sum } from './distribution.ts';
import type { RequestRecord } from './record.ts';
import {
  COUNTERS,
  type CounterName,
  GAUGES,
  type GaugeName,
  LAYERS,
  type Layer,
  type LayerLook,
  type SourceBy,
  SPANS,
  type SpanName,
  type WatchedSource,
} from './server-look.ts';
import { grownBy, type ServerSpan, spanOf, together } from './server-spans.ts';
import { type LayerSpans, ttftWaterfall, type Waterfall } from './waterfall.ts';

const SECOND_MS = 1_000;

/** A number of the server second by second, as `timeline` is. */
export interface ServerGauge {
  readonly metric: string;
  /** Mean and greatest of the seconds. */
  readonly mean: number;
  readonly max: number;
  /** Of a second without a look the nearest one, at most a second from its middle; null where an address has none. */
  readonly perS: readonly (number | null)[];
}

/** How far a counter rose over the level. */
export interface ServerCount {
  readonly metric: string;
  readonly count: number;
}

/** What one layer of the server told over a level. */
export type LayerSide = Readonly<
  Partial<Record<GaugeName, ServerGauge> & Record<CounterName, ServerCount> & Record<SpanName, ServerSpan>>
>;

/** The server's side of a level, as its own metrics tell it. */
export interface ServerSide {
  readonly sources: readonly {
    readonly url: string;
    readonly by: SourceBy;
    /** Looks while the level ran. */
    readonly samples: number;
    readonly failures: number;
    readonly firstFailure: string | null;
  }[];
  readonly frontend?: LayerSide;
  readonly prefill?: LayerSide;
  readonly engine?: LayerSide;
  readonly waterfall: Waterfall;
}

/** The level that was watched; `startedAtMs` null where nothing was sent. */
export interface WatchedLevel {
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  /** All requests that were sent between the two looks: measured and held ones. */
  readonly sent: readonly RequestRecord[];
}

/**
 * Puts what several addresses told together: requests and counts are added up, of KV caches the fullest counts.
 * Pure: the same looks give the same numbers.
 */
export function serverSideOf(sources: readonly WatchedSource[], level: WatchedLevel): ServerSide {
  const sides = LAYERS.flatMap((layer) => {
    const side = { ...gaugesOf(sources, layer, level), ...grownOf(sources, layer) };
    return Object.keys(side).length === 0 ? [] : [[layer, side] as const];
  });
  const seen = sources.every(({ before, after }) => before !== null && after !== null);
  const waterfall = ttftWaterfall(level.sent, Object.fromEntries(sides) as LayerSpans);
  return {
    sources: sources.map(({ url, by, samples, failures, firstFailure }) => ({
      url,
      by,
      samples: samples.length,
      failures,
      firstFailure,
    })),
    ...Object.fromEntries(sides),
    waterfall:
      seen || waterfall.reason === null
        ? waterfall
        : { ...waterfall, reason: 'the metrics before or after the level are missing' },
  };
}

function gaugesOf(
  sources: readonly WatchedSource[],
  layer: Layer,
  { startedAtMs, endedAtMs }: WatchedLevel,
): LayerSide {
  if (startedAtMs === null || endedAtMs === null) return {};
  const seconds = Math.floor((endedAtMs - startedAtMs) / SECOND_MS) + 1;
  const told = GAUGES.flatMap((name) => {
    const rows = sources.flatMap(({ samples }) => {
      const values = samples.flatMap(({ atMs, look }) => {
        const one = look[layer]?.gauges[name];
        return one === undefined || atMs < startedAtMs || atMs > endedAtMs ? [] : [{ atMs, ...one }];
      });
      return values.length === 0 ? [] : [values];
    });
    if (rows.length === 0) return [];
    const perS = Array.from({ length: seconds }, (_, second) => {
      const fromAtMs = startedAtMs + second * SECOND_MS;
      const toAtMs = Math.min(fromAtMs + SECOND_MS, endedAtMs);
      const means = rows.map((values) => valueIn(values, fromAtMs, toAtMs));
      const all = means.filter((mean) => mean !== null);
      if (all.length < means.length) return null;
      return rounded(name === 'kvUseRatio' ? greatest(all) : sum(all));
    });
    const known = perS.filter((value) => value !== null);
    if (known.length === 0) return [];
    const metric = namesOf(rows.map(([first]) => first!.metric));
    return [
      [name, { metric, mean: rounded(sum(known) / known.length), max: greatest(known), perS }] as const,
    ];
  });
  return Object.fromEntries(told);
}

/** What a gauge was between two instants: the mean of the looks in it, else the nearest look where that is near enough. */
function valueIn(
  looks: readonly { readonly atMs: number; readonly value: number }[],
  fromAtMs: number,
  toAtMs: number,
): number | null {
  const inside = looks.filter(({ atMs }) => atMs >= fromAtMs && atMs < toAtMs);
  if (inside.length > 0) return sum(inside.map(({ value }) => value)) / inside.length;
  const middleAtMs = (fromAtMs + toAtMs) / 2;
  const awayMs = ({ atMs }: { readonly atMs: number }): number => Math.abs(atMs - middleAtMs);
  const nearest = looks.reduce((best, one) => (awayMs(one) < awayMs(best) ? one : best));
  return awayMs(nearest) <= SECOND_MS ? nearest.value : null;
}

/** Counters and histograms, each by what it took up between the two looks. */
function grownOf(sources: readonly WatchedSource[], layer: Layer): LayerSide {
  const pairs = sources.flatMap(({ before, after }) => {
    const now = after?.[layer];
    return before === null || now === undefined ? [] : [{ was: before[layer], now }];
  });
  const tell = <N extends string, T, R>(
    names: readonly N[],
    of: (look: LayerLook, name: N) => { readonly metric: string; readonly value: T } | undefined,
    grow: (was: T | null, now: T) => T | null,
    merge: (metric: string, parts: readonly T[]) => R | null,
  ): (readonly [N, R])[] =>
    names.flatMap((name) => {
      const all = pairs.flatMap(({ was, now }) => {
        const to = of(now, name);
        const from = was === undefined ? undefined : of(was, name);
        return to === undefined ? [] : [{ metric: to.metric, grown: grow(from?.value ?? null, to.value) }];
      });
      const parts = all.flatMap(({ grown }) => grown ?? []);
      if (all.length === 0 || parts.length < all.length) return [];
      const merged = merge(namesOf(all.map(({ metric }) => metric)), parts);
      return merged === null ? [] : [[name, merged]];
    });
  return Object.fromEntries([
    ...tell(
      COUNTERS,
      (look, name) => look.counters[name],
      (was, now) => (now < (was ?? 0) ? null : now - (was ?? 0)),
      (metric, parts): ServerCount => ({ metric, count: sum(parts) }),
    ),
    ...tell(
      SPANS,
      (look, name) => look.spans[name],
      grownBy,
      (metric, parts) => spanOf(metric, together(parts)),
    ),
  ]);
}

function namesOf(metrics: readonly string[]): string {
  return [...new Set(metrics)].join(' + ');
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
