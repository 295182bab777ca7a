import { readFileSync } from 'node:fs';
import { type Document, isMap, isPair, isScalar, LineCounter, parseDocument, type Scalar, visit } from 'yaml';
import { errorText, usageError } from '../../core/errors.ts';
import { decodeText } from '../../core/utf8.ts';
import { labelOf, lineOf, offsetOf, plainOf, refusal, type Spot, spotsOf } from '../../core/yaml-spots.ts';
import { expandStack } from './expand.ts';
import { fillEnvironment } from './interpolate.ts';
import { isSecretName } from './redaction.ts';
import { type StackFile, stackSchema } from './schema.ts';
import type { Remark, Stack } from './stack.ts';
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

/**
 * Reads a stack file, fills in its preset's share and checks the whole. Throws (exit 2) with every error of
 * the file at once, each as FILE:LINE:COLUMN.
 */
export function readStack(file: string, options: ReadOptions = {}): Stack {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw usageError(
      `cannot read the stack file ${file} (${errorText(error)})`,
      'give the path of a stack.yaml',
    );
  }
  return parseStack(decodeText(bytes, file), file, options);
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
  const parsed = stackSchema.safeParse(plainOf(document, source));
  if (!parsed.success) {
    // A text that lacks its variable is wrong for that alone.
    const told = new Set(spots.map(({ offset }) => offset));
    const issues = parsed.error.issues.flatMap((issue) => spotsOf(document, issue, EXPLAINED_KEYS));
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
