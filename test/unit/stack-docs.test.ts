import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { SERVICE_VALUES, STACK_VALUES } from '../../src/stack/interpolate.ts';
import { PRESETS } from '../../src/stack/presets/index.ts';
import { stackSchema } from '../../src/stack/schema.ts';
import { FAILURE_CLASSES } from '../../src/stack/why.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
const STACKS = readFileSync(path.join(ROOT, 'datasets/stacks/README.md'), 'utf8');

/** As much of a schema's definition as is walked. */
interface Node {
  readonly def: {
    readonly type: string;
    readonly shape?: Readonly<Record<string, Node>>;
    readonly entries?: Readonly<Record<string, string>>;
    readonly values?: readonly unknown[];
    readonly options?: readonly Node[];
    readonly element?: Node;
    readonly valueType?: Node;
    readonly innerType?: Node;
    readonly in?: Node;
  };
}

/** Where a part of the file is described once for all its places. */
const SHARED: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/^services\.\*/, 'service'],
  [/^(service\.ready|stack_ready)(?=\.)/, 'ready'],
  [/^ready\.all\[\]/, 'probe'],
  [/^runtime\.(etcd|nats)\.(port|url|bin|data_dir)$/, 'runtime.etcd.$2'],
];

/** Every key of the file by its path, with the words that it may have as a value. */
function keysOf(node: Node, at: string, found: Map<string, Set<string>>): Map<string, Set<string>> {
  const { def } = node;
  const named = SHARED.reduce((name, [pattern, short]) => name.replace(pattern, short), at);
  for (const [key, value] of Object.entries(def.shape ?? {})) {
    const name = SHARED.reduce(
      (text, [pattern, short]) => text.replace(pattern, short),
      named === '' ? key : `${named}.${key}`,
    );
    if (!found.has(name)) found.set(name, new Set());
    keysOf(value, name, found);
  }
  for (const word of [...Object.values(def.entries ?? {}), ...(def.values ?? [])])
    if (typeof word === 'string') found.get(named)?.add(word);
  for (const one of [...(def.options ?? []), def.innerType, def.in])
    if (one !== undefined) keysOf(one, named, found);
  if (def.element !== undefined) keysOf(def.element, `${named}[]`, found);
  if (def.valueType !== undefined) keysOf(def.valueType, `${named}.*`, found);
  return found;
}

/** Rows of all tables of a text, by the names in backticks in their first cell. */
function rowsOf(text: string): Map<string, string> {
  const rows = new Map<string, string>();
  for (const line of text.split('\n')) {
    const first = /^\| ((?:`[^`]+`(?:, )?)+) \|/.exec(line)?.[1];
    for (const [, name] of first?.matchAll(/`([^`]+)`/g) ?? []) {
      expect(rows.has(name!), `${name} has two rows`).toBe(false);
      rows.set(name!, line);
    }
  }
  return rows;
}

const between = (text: string, mark: string): string => {
  const [, part] = new RegExp(`<!-- ${mark} -->(.*?)<!-- /${mark} -->`, 's').exec(text) ?? [];
  if (part === undefined) throw new Error(`no <!-- ${mark} -->`);
  return part;
};

describe('the reference of stack.yaml', () => {
  const rows = rowsOf(between(STACKS, 'keys'));
  const keys = keysOf(stackSchema as unknown as Node, '', new Map());

  it('has a row for every key and no other', () => {
    expect([...rows.keys()].sort()).toEqual([...keys.keys()].sort());
    expect(keys.size).toBeGreaterThan(100);
  });

  it('names every word that a key may have', () => {
    for (const [key, words] of keys) {
      if (key === 'service.fail_on[].class') continue;
      for (const word of words) expect(rows.get(key), key).toContain(`\`${word}\``);
    }
  });

  it('names every value that a text may refer to', () => {
    expect([...rowsOf(between(STACKS, 'values')).keys()].sort()).toEqual(
      [...STACK_VALUES, ...SERVICE_VALUES, 'ports.NAME', 'env:NAME', 'env:NAME:-TEXT'].sort(),
    );
  });

  it('has all presets in their own words', () => {
    const presets = rowsOf(between(STACKS, 'presets'));
    expect([...presets.keys()]).toEqual(PRESETS.map(({ name }) => name));
    for (const { name, about } of PRESETS) expect(presets.get(name)).toContain(about);
  });

  it('names every file beside it', () => {
    const files = readdirSync(path.join(ROOT, 'datasets/stacks')).filter((name) => name.endsWith('.yaml'));
    expect([...rowsOf(between(STACKS, 'files')).keys()].sort()).toEqual(files.sort());
  });
});

describe('the stack of the guide', () => {
  it('stands in the README as it is shipped', () => {
    const file = readFileSync(path.join(ROOT, 'datasets/stacks/dsr1-fp4-gb200-1p1d.yaml'), 'utf8');
    const shipped = file.replace(/^(#.*\n)+/, '');
    expect(README).toContain(`\`\`\`yaml\n${shipped}\`\`\`\n`);
    expect(shipped.trimEnd().split('\n').length).toBeLessThanOrEqual(30);
  });
});

describe('the table of failures', () => {
  it('has every class, and what to do', () => {
    const rows = rowsOf(between(README, 'failures'));
    expect([...rows.keys()].sort()).toEqual([...FAILURE_CLASSES].sort());
    for (const [name, row] of rows) expect(row.split('|').at(-2)!.trim().length, name).toBeGreaterThan(20);
  });
});
