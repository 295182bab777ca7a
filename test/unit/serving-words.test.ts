import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FlagType, ServingFlag } from '../../src/commands/serving/flag.ts';
import { FLAGS } from '../../src/commands/serving/flags.ts';
import { pythonFloat, pythonInt } from '../../src/commands/serving/python-numbers.ts';
import { parseServingWords } from '../../src/commands/serving/words.ts';
import { refusal } from '../fixtures/refusal.ts';

interface Declared {
  readonly release: '0.5.5' | '0.5.23';
  readonly name: string;
  readonly type: string;
  readonly default: unknown;
  readonly nargs: string | null;
  readonly choices: readonly string[] | null;
}

type Answer = { readonly given: Record<string, unknown> } | { readonly error: string };

/** What CPython said; see the file's own "about". */
const ORACLE = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../fixtures/argparse-cases.json'), 'utf8'),
) as {
  readonly flags: readonly Declared[];
  readonly numbers: readonly { text: string; int: number | null; float: number | string | null }[];
  readonly cases: readonly { argv: string[]; '0.5.5': Answer; '0.5.23': Answer }[];
};
const PYTHON_TYPES: Record<FlagType, string> = {
  int: 'int',
  float: 'float',
  positive: '_finite_positive_float',
  str: 'str',
  json: 'str',
  slo: '_goodput_slo',
  switch: 'switch',
};
const OWN = FLAGS.filter(({ standing }) => standing === 'own');

/** Numbers as the fixture writes them. */
const plain = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'number' || Number.isFinite(value)) return value;
  if (Number.isNaN(value)) return 'nan';
  return value > 0 ? 'inf' : '-inf';
};

describe('the table of flags', () => {
  const declared = (release: Declared['release']) => ORACLE.flags.filter((flag) => flag.release === release);
  const shape = (flag: ServingFlag) => ({
    name: flag.name,
    type: PYTHON_TYPES[flag.type],
    default: plain(flag.default),
    nargs: flag.nargs ?? null,
    choices: flag.choices ?? null,
  });

  it('has each flag of sglang 0.5.23 as it is declared there, and none beside ours', () => {
    const expected = declared('0.5.23').map(({ release: _, ...flag }) => flag);
    const ours = FLAGS.filter(({ standing }) => standing !== 'own').map(shape);
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
    expect(ours.toSorted(byName)).toEqual(expected.toSorted(byName));
    expect(OWN.map(({ name }) => name).toSorted()).toEqual([
      'bug-compatible',
      'export',
      'gpus',
      'layout',
      'out',
      'salt',
    ]);
  });

  it('has each flag of 0.5.5 too, with its type, and its default but for the seed', () => {
    for (const { release: _, choices, ...flag } of declared('0.5.5')) {
      const { choices: ours, ...same } = shape(FLAGS.find(({ name }) => name === flag.name)!);
      expect(same).toEqual(flag.name === 'seed' ? { ...flag, default: 42 } : flag);
      for (const choice of choices ?? []) expect(ours).toContain(choice);
    }
  });

  it('says of each flag in a short sentence how it stands', () => {
    for (const { name, about, instead, standing } of FLAGS) {
      expect(about.length, name).toBeLessThan(120);
      expect(about, name).not.toMatch(/[|\n.]$|[|\n]/);
      if (instead !== undefined) expect(standing).toBe('refused');
    }
  });
});

describe("Python's numbers", () => {
  it.each(ORACLE.numbers)('reads $text as Python does', ({ text, int, float }) => {
    expect(pythonInt(text)).toBe(int);
    expect(plain(pythonFloat(text))).toBe(float);
  });

  it('reads any float that is written in its shortest form', () => {
    fc.assert(fc.property(fc.double(), (value) => Object.is(pythonFloat(String(value)), value + 0)));
  });
});

describe('parseServingWords', () => {
  const ask = (argv: readonly string[]): Answer => {
    try {
      return { given: Object.fromEntries([...parseServingWords(argv)].map(([k, v]) => [k, plain(v)])) };
    } catch (error) {
      return {
        error: refusal(() => {
          throw error;
        }).message,
      };
    }
  };
  /** What argparse says, in our words: no "argument", nothing behind `=`, refused choices not offered. */
  const inOurs = (message: string): RegExp | string => {
    const ambiguous = /^ambiguous option: (--[^=]*)(?:=.*)? could match (.*)$/s.exec(message);
    if (ambiguous)
      return `ambiguous option: ${ambiguous[1]} could match ${ambiguous[2]!.split(', ').toSorted().join(', ')}`;
    const unknown = /^unrecognized arguments: (.*)$/.exec(message)?.[1]?.split(' ');
    if (unknown) {
      const flags = unknown.filter((word) => word.startsWith('-')).map((word) => word.split('=')[0]);
      return `unknown: ${(flags.length > 0 ? flags : unknown).join(', ')}`;
    }
    return message
      .replace(/^argument /, '')
      .replace(/ \(choose from .*/, '')
      .replace(/(ignored explicit argument) .*/, '$1');
  };
  const sorted = (message: string): string =>
    message
      .replace(/(?<=could match ).*/, (names) => names.split(', ').toSorted().join(', '))
      .replace(/ \(choose from .*/, '');

  // Underscores are ours to accept, and --out is a flag of ours.
  const cases = ORACLE.cases.filter(({ argv }) => !['--num_prompts', '--out'].includes(argv[0]!));

  it.each(cases)('takes $argv as argparse does', ({ argv, '0.5.23': python }) => {
    const ours = ask(argv);
    if ('error' in python) expect('error' in ours ? sorted(ours.error) : ours).toBe(inOurs(python.error));
    else expect(ours).toEqual(python);
  });

  it('refuses of what 0.5.5 took only abbreviations that later flags made ambiguous', () => {
    const lost = cases.filter((one) => 'given' in one['0.5.5'] && 'error' in ask(one.argv));
    expect(lost.map(({ argv }) => argv[0])).toEqual(['--random-i', '--flush', '--he']);
    for (const { argv } of lost)
      expect(ask(argv)).toEqual({ error: expect.stringMatching(/^ambiguous option/) });
  });

  it('resolves each prefix among the flags of sglang alone, whatever ours are called', () => {
    const names = [
      ...ORACLE.flags.filter(({ release }) => release === '0.5.23').map(({ name }) => name),
      'help',
    ];
    const own = OWN.map(({ name }) => name);
    const prefixes = new Set(
      [...names, ...own].flatMap((name) => Array.from(name, (_, i) => name.slice(0, i + 1))),
    );
    for (const prefix of prefixes) {
      if (own.includes(prefix)) continue;
      const matches = names.includes(prefix) ? [prefix] : names.filter((name) => name.startsWith(prefix));
      const flag = FLAGS.find(({ name }) => name === matches[0]);
      if (matches.length !== 1 || flag === undefined) {
        const message = refusal(() => parseServingWords([`--${prefix}`])).message;
        if (matches.length > 1) {
          const listed = matches
            .map((name) => `--${name}`)
            .toSorted()
            .join(', ');
          expect(sorted(message)).toBe(`ambiguous option: --${prefix} could match ${listed}`);
        } else
          expect(message).toBe(matches.length === 0 ? `unknown: --${prefix}` : '--help: write it in full');
        continue;
      }
      const value = flag.choices?.[0] ?? (flag.type === 'slo' ? 'ttft:1' : '1');
      const words = flag.type === 'switch' ? [`--${prefix}`] : [`--${prefix}`, value];
      expect([...parseServingWords(words).keys()], prefix).toEqual([flag.name]);
    }
  });

  it('takes our flags in full, with = or without, and dashes written as underscores', () => {
    const argv = [
      '--salt=--x',
      '--export',
      'a',
      '--export=b',
      '--bug_compatible',
      '--gpus',
      '8',
      '--num_prompts=3',
      '--out',
      'd',
    ];
    expect(Object.fromEntries(parseServingWords(argv))).toEqual({
      salt: '--x',
      export: ['a', 'b'],
      'bug-compatible': true,
      gpus: 8,
      'num-prompts': 3,
      out: 'd',
    });
    expect(refusal(() => parseServingWords(['--salt'])).message).toBe('--salt: expected one argument');
    expect(refusal(() => parseServingWords(['--layout', '2024-01'])).message).toBe(
      "--layout: invalid choice: '2024-01' (choose from 2025-08, 2025-11, 2026-01, 2026-06)",
    );
    expect(refusal(() => parseServingWords(['--no_such_flag'])).message).toBe('unknown: --no_such_flag');
  });

  it('suggests what a misspelt flag was meant to be', () => {
    const hint = (...argv: string[]) => refusal(() => parseServingWords(argv)).hint;
    expect(hint('--max-concurency', '4')).toBe('did you mean --max-concurrency? see bench serving --help');
    expect(hint('--num_promts=4')).toBe('did you mean --num-prompts? see bench serving --help');
    expect(hint('--bug-compatibel')).toBe('did you mean --bug-compatible? see bench serving --help');
    expect(hint('--frobnicate')).toBe('see bench serving --help');
  });

  it.each([
    [['--']],
    [['--', 'word']],
    [['--seed', '1', '--']],
  ])('says of bare dashes what they are: %j', (argv) => {
    expect(refusal(() => parseServingWords(argv))).toMatchObject({
      message: 'unknown: --',
      hint: 'bare dashes name no flag: leave them out, or write a name behind them',
    });
  });

  it('leaves underscores in values alone', () => {
    expect(parseServingWords(['--tag', 'a_b', '--header', 'X_Y=a_b']).get('header')).toEqual(['X_Y=a_b']);
    expect(parseServingWords(['--tag', '--num_prompts is 3']).get('tag')).toBe('--num_prompts is 3');
  });
});
