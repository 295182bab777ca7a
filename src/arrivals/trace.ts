import { readFileSync } from 'node:fs';
import type { ArrivalKind } from '../core/arrival.ts';
import { errorText, usageError } from '../core/errors.ts';
import { parseTrace } from '../core/trace.ts';

/** The recorded instants of a trace from its first on, `--slowdown` times as far apart. Exit 2 for a file that is none. */
export const trace: ArrivalKind = {
  name: 'trace',
  about: 'at the timestamps of the trace in --dataset-path, --slowdown times as far apart',
  schedule({ arrival }) {
    const { tracePath, slowdown = 1 } = arrival;
    const rows = parseTrace(readTrace(tracePath!), tracePath!);
    const [first] = rows;
    return rows.map(({ timestampMs }) => (timestampMs - first!.timestampMs) * slowdown);
  },
};

function readTrace(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usageError(`--dataset-path: cannot read ${file} (${errorText(error)})`, 'name a readable trace');
  }
}
