import { greatest, sum } from '../core/distribution.ts';
import {
  COUNTERS,
  type Cumulative,
  GAUGES,
  type Layer,
  type LayerLook,
  type ServerLook,
  SPANS,
  type Told,
} from '../core/server-look.ts';
import { together } from '../core/server-spans.ts';
import { parsePrometheus, type Sample } from './prometheus.ts';
import { COPY_LABELS, METRIC_FAMILIES, type MetricName, ROLE_LABELS } from './server-metrics.ts';

const MS_PER_S = 1_000;
const nameOf = (metric: MetricName): string => (typeof metric === 'string' ? metric : metric.name);

const GAUGE_NAMES: ReadonlySet<string> = new Set(
  METRIC_FAMILIES.flatMap(({ gauges }) => Object.values(gauges).flat().map(nameOf)),
);
const ALL_NAMES: ReadonlySet<string> = new Set([
  ...GAUGE_NAMES,
  ...METRIC_FAMILIES.flatMap(({ counters }) => Object.values(counters).flat().map(nameOf)),
  ...METRIC_FAMILIES.flatMap(({ spans }) => Object.values(spans).flat().map(nameOf)).flatMap((name) =>
    ['_sum', '_count', '_bucket'].map((end) => name + end),
  ),
]);

/** What a Prometheus text tells of the metrics that are known; `gauges` alone cost the least. null when it has none of them. */
export function readLook(text: string, what: 'gauges' | 'all'): ServerLook | null {
  const names = what === 'gauges' ? GAUGE_NAMES : ALL_NAMES;
  const samples = parsePrometheus(text, (name) => names.has(name));
  if (samples.length === 0) return null;
  const byName = new Map<string, Sample[]>();
  for (const sample of samples) {
    const known = byName.get(sample.name);
    if (known === undefined) byName.set(sample.name, [sample]);
    else known.push(sample);
  }
  const prefill = samples.some(({ labels }) =>
    ROLE_LABELS.some((label) => labels[label]?.includes('prefill') ?? false),
  );
  const look: Partial<Record<Layer, LayerLook>> = {};
  for (const { layer, gauges, counters, spans } of METRIC_FAMILIES) {
    const place = layer === 'engine' && prefill ? 'prefill' : layer;
    const found: LayerLook = {
      gauges: firstOf(GAUGES, gauges, (metric, name) => {
        const values = valuesOf(byName, metric);
        return values.length === 0 ? null : name === 'kvUseRatio' ? greatest(values) : sum(values);
      }),
      counters: firstOf(COUNTERS, counters, (metric) => {
        const values = valuesOf(byName, metric);
        return values.length === 0 ? null : sum(values);
      }),
      spans: firstOf(SPANS, spans, (metric) => cumulativeOf(byName, metric)),
    };
    const before = look[place];
    const told = {
      gauges: { ...found.gauges, ...before?.gauges },
      counters: { ...found.counters, ...before?.counters },
      spans: { ...found.spans, ...before?.spans },
    };
    if (Object.values(told).some((part) => Object.keys(part).length > 0)) look[place] = told;
  }
  return look;
}

/** Each name's first metric that gives a value. */
function firstOf<N extends string, T>(
  names: readonly N[],
  table: Readonly<Partial<Record<N, readonly MetricName[]>>>,
  read: (metric: MetricName, name: N) => T | null,
): Partial<Record<N, Told<T>>> {
  const told: Partial<Record<N, Told<T>>> = {};
  for (const name of names) {
    for (const metric of table[name] ?? []) {
      const value = read(metric, name);
      if (value === null) continue;
      told[name] = { metric: wordsOf(metric), value };
      break;
    }
  }
  return told;
}

/** `name{stage="preprocess"}` */
function wordsOf(metric: MetricName): string {
  if (typeof metric === 'string') return metric;
  const labels = Object.entries(metric.where).map(([label, value]) => `${label}="${value}"`);
  return `${metric.name}{${labels.join(',')}}`;
}

/** The finite samples of a metric by the labels that tell servers apart; copies of one another are in one group. */
function groupsOf(
  byName: ReadonlyMap<string, Sample[]>,
  metric: MetricName,
  end = '',
): Map<string, Sample[]> {
  const where = typeof metric === 'string' ? [] : Object.entries(metric.where);
  const groups = new Map<string, Sample[]>();
  for (const sample of byName.get(nameOf(metric) + end) ?? []) {
    if (!Number.isFinite(sample.value)) continue;
    if (where.some(([label, value]) => sample.labels[label] !== value)) continue;
    const key = JSON.stringify(
      Object.entries(sample.labels)
        .filter(([label]) => label !== 'le' && !COPY_LABELS.has(label))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [sample]);
    else group.push(sample);
  }
  return groups;
}

function valuesOf(byName: ReadonlyMap<string, Sample[]>, metric: MetricName): number[] {
  return [...groupsOf(byName, metric).values()].map((group) => greatest(group.map(({ value }) => value)));
}

function cumulativeOf(byName: ReadonlyMap<string, Sample[]>, metric: MetricName): Cumulative | null {
  const [sums, counts, buckets] = ['_sum', '_count', '_bucket'].map((end) =>
    groupsOf(byName, metric, end),
  ) as [Map<string, Sample[]>, Map<string, Sample[]>, Map<string, Sample[]>];
  const most = (group: readonly Sample[] = []): number => greatest(group.map(({ value }) => value));
  const parts = [...counts].flatMap(([key, group]): Cumulative[] =>
    sums.has(key)
      ? [
          {
            count: most(group),
            sumMs: most(sums.get(key)) * MS_PER_S,
            buckets: bucketsOf(buckets.get(key) ?? []),
          },
        ]
      : [],
  );
  return parts.length === 0 ? null : together(parts);
}

/** Cumulative counts by upper bound in ms, ascending. */
function bucketsOf(samples: readonly Sample[]): (readonly [number, number])[] {
  const counts = new Map<number, number>();
  for (const { labels, value } of samples) {
    const le = labels['le'] ?? '';
    const upToMs = /^\+?Inf$/i.test(le)
      ? Number.POSITIVE_INFINITY
      : le === ''
        ? Number.NaN
        : milliseconds(Number(le));
    if (!Number.isNaN(upToMs)) counts.set(upToMs, Math.max(value, counts.get(upToMs) ?? 0));
  }
  return [...counts].sort(([a], [b]) => a - b);
}

/** Seconds in ms, without the noise of binary fractions: 0.0025 is 2.5. */
function milliseconds(seconds: number): number {
  return Number((seconds * MS_PER_S).toPrecision(12));
}
