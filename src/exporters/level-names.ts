import { type Load, loadNumber } from '../core/load.ts';
import type { LevelReport, Report } from '../core/report.ts';
import { grouped } from './figures.ts';

/** Whether the levels differ in their lengths, so that a level's name needs its shape. */
export function hasShapes(report: Report): boolean {
  return new Set(report.levels.map(shapeName)).size > 1;
}

export function shapeName(level: Pick<LevelReport, 'isl' | 'osl'>): string {
  // Of given texts that nobody could count.
  const isl = level.isl === 0 ? '?' : grouped(level.isl);
  return `${isl}×${grouped(level.osl)}`;
}

/** Whether the levels of a run are those of an open loop, so that rates tell them apart. */
export function isOpen(levels: readonly Load[]): boolean {
  return levels.some(({ ratePerS }) => ratePerS !== undefined);
}

/** The load of a level as a cell below `loadHead`. */
export function loadCell(level: Load): string {
  return loadFigure(loadNumber(level));
}

/** A concurrency or a rate in full: no digit of it is rounded away. */
export function loadFigure(load: number): string {
  return Number.isInteger(load) ? grouped(load) : String(load);
}

/** What the loads of these levels are, as the head of a column and in words. */
export function loadHead(levels: readonly Load[]): { readonly head: string; readonly word: string } {
  return isOpen(levels) ? { head: 'req/s', word: 'rate' } : { head: 'conc', word: 'concurrency' };
}

/** The load of a level as a name: `C=1,024`, `2.5/s`. */
export function loadName(level: Load): string {
  return level.ratePerS === undefined ? `C=${grouped(level.concurrency)}` : `${loadFigure(level.ratePerS)}/s`;
}

/** The same in names of files and folders that other tools read: `concurrency_16`, `request_rate_2.5`. */
export function loadFile({ concurrency, ratePerS }: Load): string {
  return ratePerS === undefined ? `concurrency_${concurrency}` : `request_rate_${ratePerS}`;
}

/** The cap that a run was asked for; where it is as many as there are requests, there was none. */
export function capOf({ concurrency, ratePerS, requests }: LevelReport): number | null {
  return ratePerS !== undefined && concurrency >= requests.sent ? null : concurrency;
}

/** How levels are called beside others of their run: `concurrency 1, 16`, after the shape where there are several. */
export function levelNames(report: Report, levels: readonly LevelReport[]): string {
  const byShape = groupBy(levels, shapeName);
  return [...byShape]
    .map(([shape, ones]) => {
      const loads = `${loadHead(ones).word} ${ones.map(loadCell).join(', ')}${isOpen(ones) ? ' a second' : ''}`;
      return hasShapes(report) ? `${shape} ${loads}` : loads;
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
