import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { errorText, usageError } from '../core/errors.ts';
import { Random } from '../core/random.ts';
import type { Phase } from '../core/record.ts';
import type { DatasetFile } from '../core/spec.ts';
import { readLines, type TextLine } from '../core/utf8.ts';
import type { Place } from './exact-prompts.ts';
import { PHASES, type PrepareJob } from './prepare.ts';

const READ_BYTES = 1 << 20;

/** sha256 of a file in hex, whatever its size. Exit 2 for a file that cannot be read. */
export function hashFile(path: string): string {
  return reading(path, () => {
    const hash = createHash('sha256');
    const handle = openSync(path, 'r');
    try {
      const block = Buffer.allocUnsafe(READ_BYTES);
      for (;;) {
        const size = readSync(handle, block, 0, READ_BYTES, null);
        if (size === 0) return hash.digest('hex');
        hash.update(block.subarray(0, size));
      }
    } finally {
      closeSync(handle);
    }
  });
}

/** A file's lines, however large it is. Exit 2 for a file that cannot be read, and for one that is not UTF-8. */
export function* datasetLines(path: string): Generator<TextLine> {
  const handle = reading(path, () => openSync(path, 'r'));
  try {
    yield* readLines((block) => reading(path, () => readSync(handle, block)), path);
  } finally {
    closeSync(handle);
  }
}

/** Exit 2 for a file that is no longer what the run was asked for. */
export function checkUnchanged({ path, hash }: DatasetFile): void {
  const now = hashFile(path);
  if (now !== hash)
    throw usageError(
      `--dataset-path: ${path} has changed since the run was asked for (sha256 ${hash.slice(0, 12)}…, now ${now.slice(0, 12)}…)`,
      'put the old file back, or start a new run',
    );
}

/** What `read` gives; exit 2 where the file cannot be read. */
export function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw usageError(`--dataset-path: cannot read ${path} (${errorText(error)})`, 'name a readable file');
  }
}

/** Numbers from 0 to below `count` in the order of the file, or shuffled by the seed (Fisher and Yates). */
export function rowOrder(count: number, order: DatasetFile['order'], seed: number): Uint32Array {
  const rows = Uint32Array.from({ length: count }, (_, i) => i);
  if (order === 'file') return rows;
  const random = new Random(seed, 'rows');
  for (let i = count - 1; i > 0; i--) {
    const j = random.integer(0, i);
    [rows[i], rows[j]] = [rows[j]!, rows[i]!];
  }
  return rows;
}

/** Rows that all prompts of the run take when none is sent twice. */
export function rowsWanted(job: PrepareJob): number {
  return (job.run ?? job.points).reduce(
    (sum, { counts }) => sum + PHASES.reduce((n, phase) => n + counts[phase], 0),
    0,
  );
}

/** The number of a prompt's row where the phases of all points take rows one behind the other. */
export function rowNumbers(job: PrepareJob): (place: Place) => number {
  const starts = new Map<string, number>();
  let next = 0;
  for (const { point, counts } of job.run ?? job.points) {
    for (const phase of PHASES) {
      starts.set(key(point.index, phase), next);
      next += counts[phase];
    }
  }
  return ({ point, phase, index }) => starts.get(key(point.index, phase))! + index;
}

function key(point: number, phase: Phase): string {
  return `${point} ${phase}`;
}

/** Mean of lengths, to a whole token. */
export function meanTokens(lengths: readonly number[]): number {
  return Math.round(lengths.reduce((sum, length) => sum + length, 0) / lengths.length);
}
