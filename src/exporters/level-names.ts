import type { LevelReport, Report } from '../core/report.ts';
import { grouped } from './figures.ts';

/** Whether the levels differ in their lengths, so that a level's name needs its shape. */
export function hasShapes(report: Report): boolean {
  return new Set(report.levels.map(shapeName)).size > 1;
}

export function shapeName(level: Pick<LevelReport, 'isl' | 'osl'>): string {
  return `${grouped(level.isl)}×${grouped(level.osl)}`;
}

/** How levels are called beside others of their run: `concurrency 1, 16`, after the shape where there are several. */
export function levelNames(report: Report, levels: readonly LevelReport[]): string {
  const byShape = groupBy(levels, shapeName);
  return [...byShape]
    .map(([shape, ones]) => {
      const concurrency = `concurrency ${ones.map((level) => grouped(level.concurrency)).join(', ')}`;
      return hasShapes(report) ? `${shape} ${concurrency}` : concurrency;
    })
    .join('; ');
}

/** Levels that sent anything. */
export function levelsRun(report: Report): LevelReport[] {
  return report.levels.filter((level) => level.requests.sent > 0);
}

/** Whether ITL is shown per token: some chunks carried several, and somebody could tell how many. */
export function showsTokenItl(report: Report): boolean {
  return report.levels.some((level) => (level.tokensPerChunk.mean ?? 1) > 1 && level.tokenItlMs.count > 0);
}

/** Items by the text that `key` gives for each, in order of first appearance. */
export function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}
