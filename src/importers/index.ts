import { usageError } from '../core/errors.ts';
import type { ForeignRun } from '../core/foreign.ts';
import { aiperfImport } from './aiperf.ts';
import { guidellmImport } from './guidellm.ts';
import type { ImportKind } from './import-kind.ts';
import type { PlacedObject } from './json-objects.ts';
import { sglangImport } from './sglang.ts';
import { vllmImport } from './vllm.ts';

/** All tools whose results are read. They are told apart by what is in the file, not by its name. */
export const IMPORTERS: readonly ImportKind[] = [sglangImport, vllmImport, aiperfImport, guidellmImport];

/**
 * The results in a file of another tool, in that tool's definitions. Exit 2 when no tool is known by them,
 * or when they are of several; `source` names the file.
 */
export function importResults(objects: readonly PlacedObject[], source: string): ForeignRun {
  const first = objects[0];
  const tool = first && IMPORTERS.find((kind) => kind.owns(first.value));
  if (tool === undefined) {
    throw usageError(
      `${source} is no report of bench, and no result of a tool that it knows`,
      `name the folder of a run, or ${IMPORTERS.map(({ about }) => about).join(', or ')}`,
    );
  }
  const odd = objects.find(({ value }) => !tool.owns(value));
  if (odd !== undefined) {
    throw usageError(
      `${source}:${odd.line}: no result of ${tool.name}, as line ${first!.line} is`,
      'keep the results of each tool in a file of their own',
    );
  }
  const results = objects.flatMap(({ value }) => tool.split?.(value) ?? [value]);
  return {
    tool: tool.name,
    lookalike: tool.lookalike ?? null,
    source,
    definitions: tool.definitions,
    points: results.map((result) => tool.point(result)),
    notes: tool.notes(results),
  };
}
