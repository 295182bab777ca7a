import { readFileSync } from 'node:fs';
import {
  type Document,
  isMap,
  isPair,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  visit,
} from 'yaml';
import type { z } from 'zod';
import { type BenchError, errorText, usageError } from '../../core/errors.ts';
import { expandStack } from './expand.ts';
import { fillEnvironment } from './interpolate.ts';
import { isSecretName } from './redaction.ts';
import { type StackFile, stackSchema } from './schema.ts';
import type { Remark, Stack } from './stack.ts';
import { suggest } from './suggestion.ts';
import { findTraps } from './traps.ts';

export interface ReadOptions {
  /** Where `${env:NAME}` is looked up. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Values that win over the file's, by path: `cluster.nodes`. */
  readonly overrides?: Readonly<Record<string, string | number | boolean>>;
}

/** Keys that people know from elsewhere, and why they are not here. */
const EXPLAINED_KEYS: Readonly<Record<string, string>> = {
  oversubscribe: 'it does not let steps share a node; --overlap does, and every step has it',
  overlap: 'every step has --overlap',
  container_env: 'it is made of env: and container.env_passthrough, names alone',
  'container-env': 'it is made of env: and container.env_passthrough, names alone',
  extends: 'a stack is one file',
};

interface Spot {
  readonly offset: number | null;
  readonly message: string;
}

/**
 * Reads a stack file, fills in its preset's share and checks the whole. Throws (exit 2) with every error of
 * the file at once, each as FILE:LINE:COLUMN.
 */
export function readStack(file: string, options: ReadOptions = {}): Stack {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw usageError(
      `cannot read the stack file ${file} (${errorText(error)})`,
      'give the path of a stack.yaml',
    );
  }
  return parseStack(text, file, options);
}

/** As `readStack`, of a text; `source` is the file's name in messages. */
export function parseStack(text: string, source: string, options: ReadOptions = {}): Stack {
  const env = options.env ?? process.env;
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const spots: Spot[] = document.errors.map(({ pos, message }) => ({ offset: pos[0], message }));
  if (spots.length > 0) throw refusal(spots, source, lines);
  if (!isMap(document.contents))
    throw usageError(`${source}:1:1: is no stack file`, 'it begins with schema: 1, name: NAME, services:');
  for (const [path, value] of Object.entries(options.overrides ?? {})) document.setIn(path.split('.'), value);
  spots.push(...fillDocument(document, env));
  const parsed = stackSchema.safeParse(document.toJS({ maxAliasCount: 100 }));
  if (!parsed.success) {
    // A text that lacks its variable is wrong for that alone.
    const told = new Set(spots.map(({ offset }) => offset));
    const issues = parsed.error.issues.flatMap((issue) => spotsOf(document, issue, []));
    throw refusal([...spots, ...issues.filter(({ offset }) => !told.has(offset))], source, lines);
  }
  if (spots.length > 0) throw refusal(spots, source, lines);
  return completeStack(parsed.data, document, source, lines, env);
}

function completeStack(
  data: StackFile,
  document: Document,
  source: string,
  lines: LineCounter,
  env: NonNullable<ReadOptions['env']>,
): Stack {
  const expanded = expandStack(data, source, env);
  const errors = expanded.remarks.filter(({ level }) => level === 'error');
  const remarks: readonly Remark[] =
    errors.length > 0 ? expanded.remarks : [...expanded.remarks, ...findTraps(expanded.stack)];
  const spotOf = ({ path, message }: Remark): Spot => {
    const place = placeOf(document, path);
    return { offset: offsetOf(document, place), message: `${labelOf(place)}: ${message}` };
  };
  const wrong = remarks.filter(({ level }) => level === 'error').map(spotOf);
  if (wrong.length > 0) throw refusal(wrong, source, lines);
  const warnings = [...new Set(remarks.map((remark) => lineOf(spotOf(remark), source, lines)))];
  return { ...expanded.stack, warnings };
}

/** A variable that all services have is wrong at one place. */
function placeOf(document: Document, path: Remark['path']): Remark['path'] {
  const [first, , third, ...rest] = path;
  const shared = ['env', ...rest];
  return first === 'services' && third === 'env' && !document.hasIn(path) && document.hasIn(shared)
    ? shared
    : path;
}

/** Puts the environment into all texts of the document. */
function fillDocument(document: Document, env: NonNullable<ReadOptions['env']>): Spot[] {
  const spots: Spot[] = [];
  visit(document, {
    Scalar(key, node, ancestors) {
      if (typeof node.value !== 'string' || key === 'key') return;
      const { text, missing, used } = fillEnvironment(node.value, env);
      const offset = node.range?.[0] ?? null;
      for (const name of missing)
        spots.push({
          offset,
          message: `\${env:${name}} has no value: set ${name}, or write \${env:${name}:-DEFAULT}`,
        });
      const keys = ancestors.filter(isPair).map((pair) => (isScalar(pair.key) ? String(pair.key.value) : ''));
      const variable = keys.at(-2) === 'env' ? keys.at(-1)! : '';
      for (const name of used.filter(isSecretName))
        if (!isSecretName(variable))
          spots.push({
            offset,
            message: `\${env:${name}} looks like a secret, which a command line or a file would show: put it under env:, in a variable with TOKEN, KEY, SECRET or PASSWORD in its name`,
          });
      (node as Scalar).value = text;
    },
  });
  return spots;
}

type Issue = z.core.$ZodIssue;

/** Tells an issue of the schema in our words, one spot for each unknown key. */
function spotsOf(document: Document, issue: Issue, before: Remark['path']): Spot[] {
  const path = [...before, ...(issue.path as (string | number)[])];
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split(' ');
    return issue.keys.map((key) => ({
      offset: keyOffset(document, path, key) ?? offsetOf(document, path),
      message: `unknown key "${key}"${path.length === 0 ? '' : ` in ${labelOf(path)}`}: ${EXPLAINED_KEYS[key] ?? suggest(key, known)}`,
    }));
  }
  if (issue.code === 'invalid_union') {
    // The branch whose shape the value has tells best what is wrong in it.
    const inside = issue.errors.filter(
      ([first]) =>
        !(first?.path.length === 0 && (first.code === 'invalid_type' || first.code === 'invalid_value')),
    );
    if (inside.length === 1) return inside[0]!.flatMap((one) => spotsOf(document, one, path));
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
function labelOf(path: Remark['path']): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? step : `.${step}`))
    .join('');
}

/** Where a value stands, or the nearest thing around it that is in the file. */
function offsetOf(document: Document, path: Remark['path']): number | null {
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

function keyOffset(document: Document, path: Remark['path'], key: string): number | null {
  const parent = path.length === 0 ? document.contents : document.getIn(path, true);
  if (!isMap(parent)) return null;
  const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
  return isScalar(pair?.key) ? (pair.key.range?.[0] ?? null) : null;
}

function lineOf({ offset, message }: Spot, source: string, lines: LineCounter): string {
  if (offset === null) return `${source}: ${message}`;
  const { line, col } = lines.linePos(offset);
  return `${source}:${line}:${col}: ${message}`;
}

function refusal(spots: readonly Spot[], source: string, lines: LineCounter): BenchError {
  const texts = [...spots]
    .sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0))
    .map((spot) => lineOf(spot, source, lines));
  const unique = [...new Set(texts)];
  if (unique.length === 1) return usageError(unique[0]!, null);
  return usageError(`${unique.length} errors in ${source}`, unique.join('\n  '));
}
