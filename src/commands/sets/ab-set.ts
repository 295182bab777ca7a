import path from 'node:path';
import { compareMany } from '../../core/compare-many.ts';
import { comparedOf } from '../../core/compared.ts';
import { EXIT, type ExitCode } from '../../core/errors.ts';
import { repeatOf } from '../../core/repeat.ts';
import { comparisonJson, comparisonText, verdictCode } from '../compare.ts';
import type { RunSet, SetRun } from './run-set.ts';

export const AB_FILE = 'ab.json';
export const AB_SCHEMA = 'bench-serving.ab/1';

/** What `bench ab` was asked to compare, and how. */
export interface AbQuestion {
  /** Sweeps of each server. */
  readonly repeats: number;
  /** Ids of `report.json`; null where none were named. */
  readonly metrics: readonly string[] | null;
  readonly marginRatio: number;
}

/** The runs of two servers and their comparison; `code` is 1 where B is worse over all levels. */
export function abSet(
  runs: readonly SetRun[],
  question: AbQuestion,
  directory: string,
): RunSet & { readonly code: ExitCode } {
  const { repeats, metrics, marginRatio } = question;
  const complete = runs.filter(({ report }) => report.status === 'complete');
  const sideOf = (side: 'a' | 'b') => ({
    name: side.toUpperCase(),
    place: path.join(directory, side),
    reports: complete.flatMap(({ report }) => (report.spec.repeat?.side === side ? [report] : [])),
  });
  const [a, b] = [sideOf('a'), sideOf('b')];
  const [ofA, ofB] = [a.reports.map(repeatOf), b.reports.map(repeatOf)];
  const compared =
    ofA.length === 0 || ofB.length === 0
      ? null
      : compareMany({ name: a.name, runs: ofA }, [{ name: b.name, runs: ofB }], {
          metrics: metrics ?? comparedOf([...ofA, ...ofB]),
          marginRatio,
          anyway: true,
        });
  const cut = runs.length - complete.length;
  return {
    file: AB_FILE,
    content: {
      schema: AB_SCHEMA,
      ...{ repeats, metrics, marginRatio, comparison: compared?.comparisons[0] ?? null },
    },
    runs,
    complete: complete.length === 2 * repeats,
    text: () => (compared === null ? '' : comparisonText(compared)),
    json: () => (compared === null ? '' : comparisonJson(compared)),
    notes: [
      ...(cut > 0 ? [`${cut} of the runs ${cut === 1 ? 'is' : 'are'} not complete and not compared`] : []),
      ...(compared === null
        ? [`nothing to compare: of A ${ofA.length} runs are complete, of B ${ofB.length}`]
        : []),
    ],
    code: compared === null ? EXIT.ok : verdictCode(compared),
    async page() {
      if (compared === null) return null;
      const { renderHtmlComparison } = await import('../../exporters/html/comparison-page.ts');
      return renderHtmlComparison([a, b], compared);
    },
  };
}
