import { existsSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { usageError } from '../../core/errors.ts';
import { readReport } from '../read-report.ts';
import { readDocument } from '../runs.ts';
import { AB_FILE, AB_SCHEMA, abSet } from './ab-set.ts';
import { CAPACITY_FILE, CAPACITY_SCHEMA, capacitySet } from './capacity-set.ts';
import { REPEATS_FILE, REPEATS_SCHEMA, repeatsSet } from './repeats-set.ts';
import type { RunSet, SetRun } from './run-set.ts';

const status = z.enum(['running', 'complete', 'interrupted', 'failed']);
const count = z.number().int().min(1);
const ratio = z.number().min(0).lt(1);

/** What all documents have: bench makes every number again from the runs that they name. */
const head = {
  status,
  runs: z
    .array(
      z.object({
        folder: z.string().regex(/^([ab]\/)?\d+$/, 'is no folder of a run, as in 1 or a/1'),
      }),
    )
    .min(1),
};

const repeats = z.object({ schema: z.literal(REPEATS_SCHEMA), ...head, repeats: count });
const ab = z.object({
  schema: z.literal(AB_SCHEMA),
  ...head,
  repeats: count,
  metrics: z.array(z.string()).nullable(),
  marginRatio: ratio,
});
const capacity = z.object({
  schema: z.literal(CAPACITY_SCHEMA),
  ...head,
  range: z.object({
    over: z.enum(['concurrency', 'rate']),
    from: z.number().positive(),
    to: z.number().positive(),
    targetRatio: ratio,
    precisionRatio: ratio,
  }),
  slo: z.string(),
});

type Status = z.infer<typeof status>;

/** A set that was read, with how far its command came. */
export interface ReadSet {
  readonly set: RunSet;
  readonly status: Status;
}

/** The results of `--repeats`, `bench ab` or `bench capacity` that a folder holds; null where it has no document of theirs. Throws (exit 2) for a document that is none, or runs that are missing. */
export function readSet(directory: string): ReadSet | null {
  const file = [REPEATS_FILE, AB_FILE, CAPACITY_FILE].find((name) => existsSync(path.join(directory, name)));
  if (file === undefined) return null;
  const place = path.join(directory, file);
  const document = readDocument(place);
  const runsOf = (runs: readonly { readonly folder: string }[]): SetRun[] =>
    runs.map(({ folder }) => ({ folder, report: readReport(path.join(directory, folder)) }));
  if (file === REPEATS_FILE) {
    const read = checked(repeats, document, place);
    return { status: read.status, set: repeatsSet(runsOf(read.runs), read.repeats) };
  }
  if (file === AB_FILE) {
    const read = checked(ab, document, place);
    return { status: read.status, set: abSet(runsOf(read.runs), read, directory) };
  }
  const read = checked(capacity, document, place);
  return { status: read.status, set: capacitySet(runsOf(read.runs), read, directory) };
}

function checked<T extends { readonly status: Status }>(
  schema: z.ZodType<T>,
  document: unknown,
  place: string,
): T {
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  const { path: at, message } = parsed.error.issues[0]!;
  throw usageError(
    `${place} is no document of this bench: ${at.length === 0 ? '' : `${at.join('.')}: `}${message}`,
    'use the bench that wrote it, or name a run in that folder',
  );
}
