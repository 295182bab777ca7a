import type { Change } from './compare.ts';
import { geometricMean } from './distribution.ts';
import type { LevelKey } from './repeat.ts';
import { holmAdjusted } from './welch.ts';

/** How many gates in 100 may fail where nothing has become worse. */
export const ALPHA = 0.05;

export type GateVerdict = 'pass' | 'fail' | 'inconclusive';

/** One thing that was looked at. */
export interface Check {
  /** What it is held against: `runs` are the candidate's own marks. */
  readonly against: 'baseline' | 'anchor' | 'limit' | 'runs';
  /** The metric, or what of the runs was looked at. */
  readonly name: string;
  /** null over all levels. */
  readonly level: LevelKey | null;
  /** What is asked: `at most +10 %`. */
  readonly asked: string;
  readonly verdict: GateVerdict;
  /** Why, in a sentence. */
  readonly why: string;
  /** The geometric means of both sides; null where there is none. */
  readonly base: number | null;
  readonly cand: number | null;
  /** The change of a metric; null for a limit and for what is no metric. */
  readonly change: Change | null;
  /** By Holm over all changes, or over all limits, of the gate; null where no bounds are known. */
  readonly pAdjusted: number | null;
}

/** Each draft with its p value by Holm over all that have one. */
export function adjusted<T extends { readonly p: number | null }>(drafts: readonly T[]) {
  const known = drafts.filter(({ p }) => p !== null);
  const values = holmAdjusted(known.map(({ p }) => p!));
  return drafts.map((draft) => ({ draft, p: draft.p === null ? null : values[known.indexOf(draft)]! }));
}

/** The geometric mean; null where there is none. */
export function meanOf(values: readonly number[]): number | null {
  const mean = values.length === 0 ? Number.NaN : geometricMean(values);
  return Number.isFinite(mean) ? mean : null;
}

/** `5 %` */
export function percentText(ratio: number): string {
  return `${Number((ratio * 100).toPrecision(3))} %`;
}

/** A p value for people. */
export function pText(p: number): string {
  return p < 0.001 ? '< 0.001' : p.toFixed(3);
}

/** A value in its metric's unit. */
export function limitText(metric: string, value: number): string {
  return `${Number(value.toPrecision(4))}${metric.includes('Ms.') ? ' ms' : '/s'}`;
}
