import { readFileSync } from 'node:fs';
import type { Told } from '../../core/conformance.ts';
import type { ForeignPoint, ForeignRun } from '../../core/foreign.ts';
import { importResults } from '../../importers/index.ts';
import { readJsonObjects } from '../../importers/json-objects.ts';
import type { Reading } from './client.ts';

/** The only result in a file of another tool. Throws where there is none, or several. */
export function readForeign(file: string): { readonly run: ForeignRun; readonly point: ForeignPoint } {
  const run = importResults(readJsonObjects(readFileSync(file), file), file);
  const [point, ...others] = run.points;
  if (point === undefined || others.length > 0)
    throw new Error(`${file} has ${run.points.length} results, not one`);
  return { run, point };
}

/** The result as a reading; the requests measured are the last ones that the server got. */
export function foreignReading(point: ForeignPoint, sent: number): Reading {
  return { told: toldBy(point), chosen: { last: sent }, stamped: null, remark: null };
}

function toldBy({ good, failed, outputTokens, ttftMs, itlMs, tpotMs, e2eMs }: ForeignPoint): Told {
  return { good, failed, outputTokens, latencies: { ttftMs, itlMs, tpotMs, e2eMs } };
}
