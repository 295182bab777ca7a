import { closeSync, openSync, readSync } from 'node:fs';
import type { ArrivalKind } from '../core/arrival.ts';
import { errorText, usageError } from '../core/errors.ts';
import { traceRows } from '../core/trace.ts';
import { readLines, type TextLine } from '../core/utf8.ts';

/** The recorded instants of a trace from its first on, `--slowdown` times as far apart. Exit 2 for a file that is none. */
export const trace: ArrivalKind = {
  name: 'trace',
  about: 'at the timestamps of the trace in --dataset-path, --slowdown times as far apart',
  *schedule({ arrival }) {
    const { tracePath, traceUnit, slowdown = 1 } = arrival;
    let firstMs: number | null = null;
    for (const { timestampMs } of traceRows(linesOf(tracePath!), tracePath!, traceUnit)) {
      firstMs ??= timestampMs;
      yield (timestampMs - firstMs) * slowdown;
    }
  },
};

function* linesOf(file: string): Generator<TextLine> {
  let handle: number | null = null;
  try {
    handle = openSync(file, 'r');
    const open = handle;
    yield* readLines((block) => readSync(open, block), file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw usageError(`--dataset-path: cannot read ${file} (${errorText(error)})`, 'name a readable trace');
  } finally {
    if (handle !== null) closeSync(handle);
  }
}
