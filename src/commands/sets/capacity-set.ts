import { type Capacity, capacityOf, type SearchRange } from '../../core/capacity.ts';
import { renderCapacity } from '../../exporters/capacity-table.ts';
import { pageStyle } from '../page.ts';
import type { RunSet, SetRun } from './run-set.ts';

export const CAPACITY_FILE = 'capacity.json';
export const CAPACITY_SCHEMA = 'bench-serving.capacity/1';

/** The levels of a search, a run each, and the answer that they give. `slo` is that of the command line. */
export function capacitySet(
  runs: readonly SetRun[],
  { range, slo }: { readonly range: SearchRange; readonly slo: string },
  directory: string,
): RunSet & { readonly capacity: Capacity } {
  const reports = runs.map(({ report }) => report);
  const limits = slo.replaceAll('=', ' ≤ ').replaceAll(',', ', ');
  const capacity = capacityOf(
    reports.flatMap(({ levels }) => levels),
    range,
    limits,
  );
  const { found, complete } = capacity;
  const answer = { range, found, complete, slo, probes: capacity.levels.map(({ probe }) => probe) };
  return {
    file: CAPACITY_FILE,
    content: { schema: CAPACITY_SCHEMA, ...answer },
    runs,
    complete,
    text: () => renderCapacity(capacity, pageStyle()),
    json: () => `${JSON.stringify({ ...answer, directory }, null, 2)}\n`,
    notes: [],
    capacity,
    async page() {
      const { renderHtmlCapacity } = await import('../../exporters/html/capacity-page.ts');
      return renderHtmlCapacity(capacity, reports);
    },
  };
}
