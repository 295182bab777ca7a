import { type Document, isMap, isScalar, type LineCounter, type Node } from 'yaml';
import { z } from 'zod';
import { type BenchError, errorText, usageError } from './errors.ts';
import { suggest } from './suggestion.ts';

/** Steps from the top of a document to a value. */
export type YamlPath = readonly (string | number)[];

/** The document as plain values. Exit 2 where an alias stands for nothing, or for too much; `source` is the file's name. */
export function plainOf(document: Document, source: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw usageError(`${source}: ${errorText(error)}`, 'mend or write out the alias');
  }
}

/** Something that is wrong in a YAML file, and where. */
export interface Spot {
  /** From the start of the text; null where it has no place. */
  readonly offset: number | null;
  readonly message: string;
}

/**
 * A mapping of which every key is known. The message of an unknown key is the list of known ones, for the
 * reader of the file to suggest from.
 */
export function mapping<T extends z.ZodRawShape>(shape: T) {
  const known = Object.keys(shape).join(' ');
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? known : undefined),
  });
}

type Issue = z.core.$ZodIssue;

/**
 * Tells an issue of a schema in our words, one spot for each unknown key. The message of an unknown key is the list of those that
 * are known; `explained` says more of some that people know from elsewhere.
 */
export function spotsOf(
  document: Document,
  issue: Issue,
  explained: Readonly<Record<string, string>> = {},
  before: YamlPath = [],
): Spot[] {
  const path = [...before, ...(issue.path as (string | number)[])];
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split(' ');
    return issue.keys.map((key) => ({
      offset: keyOffset(document, path, key) ?? offsetOf(document, path),
      message: `unknown key "${key}"${path.length === 0 ? '' : ` in ${labelOf(path)}`}: ${explained[key] ?? suggest(key, known)}`,
    }));
  }
  if (issue.code === 'invalid_union') {
    // The branch whose shape the value has tells best what is wrong in it.
    const inside = issue.errors.filter(
      ([first]) =>
        !(first?.path.length === 0 && (first.code === 'invalid_type' || first.code === 'invalid_value')),
    );
    if (inside.length === 1) return inside[0]!.flatMap((one) => spotsOf(document, one, explained, path));
  }
  const value = document.getIn(path);
  const shown = isScalarValue(value) ? ` ${JSON.stringify(value)}` : '';
  const place = { offset: offsetOf(document, path) };
  if (issue.code === 'invalid_key')
    return [
      {
        offset: keyOffset(document, path.slice(0, -1), String(path.at(-1))) ?? place.offset,
        message: `${labelOf(path)}: ${issue.issues[0]?.message ?? issue.message}`,
      },
    ];
  if (issue.code === 'invalid_type' && value === undefined && !document.hasIn(path))
    return [{ ...place, message: `${labelOf(path)} is missing` }];
  if (issue.code === 'invalid_value')
    return [
      {
        ...place,
        message: issue.message.startsWith('is ')
          ? `${labelOf(path)}:${shown} ${issue.message}`
          : `${labelOf(path)}:${shown} is not known: ${suggest(String(value), issue.values.map(String))}`,
      },
    ];
  const message =
    issue.code === 'invalid_type' && issue.message.startsWith('Invalid input')
      ? `is not ${KINDS[issue.expected] ?? issue.expected}`
      : issue.message;
  return [{ ...place, message: `${labelOf(path)}:${shown} ${message}` }];
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
  number: 'a number',
};

function isScalarValue(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

/** `services.prefill.srun.extra[0]` */
export function labelOf(path: YamlPath): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? step : `.${step}`))
    .join('');
}

/** Where a value stands, or the nearest thing around it that is in the file. */
export function offsetOf(document: Document, path: YamlPath): number | null {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as Node | undefined;
    const key = keyOffset(document, path.slice(0, length - 1), String(path[length - 1]));
    const isLeaf = length === path.length;
    if (isLeaf && isScalar(node) && node.range) return node.range[0];
    if (key !== null) return key;
    if (node?.range) return node.range[0];
  }
  return document.contents?.range?.[0] ?? null;
}

function keyOffset(document: Document, path: YamlPath, key: string): number | null {
  const parent = path.length === 0 ? document.contents : document.getIn(path, true);
  if (!isMap(parent)) return null;
  const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
  return isScalar(pair?.key) ? (pair.key.range?.[0] ?? null) : null;
}

/** `FILE:LINE:COLUMN: what is wrong` */
export function lineOf({ offset, message }: Spot, source: string, lines: LineCounter): string {
  if (offset === null) return `${source}: ${message}`;
  const { line, col } = lines.linePos(offset);
  return `${source}:${line}:${col}: ${message}`;
}

/** Every error of the file at once (exit 2), in the order of their places. */
export function refusal(spots: readonly Spot[], source: string, lines: LineCounter): BenchError {
  const texts = [...spots]
    .sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0))
    .map((spot) => lineOf(spot, source, lines));
  const unique = [...new Set(texts)];
  if (unique.length === 1) return usageError(unique[0]!, null);
  return usageError(`${unique.length} errors in ${source}`, unique.join('\n  '));
}
