import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { PlacedPrompt } from '../../src/datasets/index.ts';
import { iteratePrompts } from '../../src/datasets/index.ts';

/** How `sglang-prompts.py` made its prompts, with transformers, numpy and CPython's random. */
interface Case {
  /** Where the token before each text is told of: in tokenizer.json, or by the class that the config names. */
  readonly special: 'template' | 'token' | null;
  readonly config: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly isl: number;
  readonly osl: number;
  readonly ratio: number;
  readonly count: number;
  readonly ids: boolean;
  readonly least_osl: 0 | 1;
  readonly less_special: boolean;
  readonly prompts: readonly { readonly text: string; readonly isl: number; readonly osl: number }[];
}

const fixtures = path.join(import.meta.dirname, '../fixtures');
const cases = JSON.parse(readFileSync(path.join(fixtures, 'sglang-prompts.json'), 'utf8')) as Case[];
const SHAREGPT = path.join(fixtures, 'sharegpt-small.json');

const folder = mkdtempSync(path.join(os.tmpdir(), 'sglang-prompts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The embedded tokenizer with the case's config and token, as the script makes it. */
function tokenizerOf({ special, config }: Omit<Case, 'prompts'>): string {
  const source = path.join(import.meta.dirname, '../../datasets/tokenizer/tokenizer.json');
  const json = JSON.parse(readFileSync(source, 'utf8')) as { added_tokens: { id: number }[] };
  const id = Math.max(...json.added_tokens.map((token) => token.id)) + 1;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const template = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '[BOS]', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '[BOS]': { id: '[BOS]', ids: [id], tokens: ['[BOS]'] } },
  };
  const made = {
    ...json,
    added_tokens: [...json.added_tokens, ...(special === null ? [] : [{ id, content: '[BOS]', ...flags }])],
    post_processor: special === 'template' ? template : null,
  };
  writeFileSync(path.join(folder, 'tokenizer.json'), JSON.stringify(made));
  writeFileSync(path.join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  return folder;
}

interface Order {
  readonly path?: string | null;
  readonly warmup?: number;
}

async function make(one: Omit<Case, 'prompts'>, order: Order = {}): Promise<PlacedPrompt[]> {
  const { seed, isl, osl, count } = one;
  const point = { index: 0, concurrency: 1, isl, osl, requests: count, durationMs: null, warmup: 0 };
  const job = {
    dataset: one.ids ? 'sglang-random-ids' : 'sglang-random',
    prompts: {
      tokenizer: tokenizerOf(one),
      islCounts: 'content',
      rangeRatio: one.ratio,
      text: 'words',
      seed,
      salt: 'x',
      sglang: {
        path: order.path === undefined ? (one.ids ? null : SHAREGPT) : order.path,
        count,
        leastOsl: one.least_osl,
        lessSpecialTokens: one.less_special,
      },
    },
    points: [{ point, counts: { warmup: order.warmup ?? 0, measured: count, hold: 0 } }],
    cacheDir: null,
    calibration: null,
    foreignServer: true,
  } as const;
  const made: PlacedPrompt[] = [];
  for await (const prompt of iteratePrompts(job)) made.push(prompt);
  return made;
}

describe('prompts as sglang.bench_serving makes them', () => {
  it.each(
    cases,
  )('are those of transformers and numpy: seed $seed, ISL $isl, ids $ids, BOS $special, newest $less_special, config $config', async (one) => {
    const made = await make(one);
    expect(made.map(({ text, isl, osl }) => ({ text, isl, osl }))).toEqual(one.prompts);
  });

  it('warm up with row 0, as often as asked', async () => {
    const [first, second, third, row] = await make(cases[1]!, { warmup: 3 });
    expect([first!.phase, first!.text, second!.text, third!.text]).toEqual([
      'warmup',
      ...new Array(3).fill(row!.text),
    ]);
    expect(row!.text).toBe(cases[1]!.prompts[0]!.text);
  });
});

describe('a ShareGPT file that cannot be used', () => {
  const broken = (text: string): string => {
    const file = path.join(folder, 'broken.json');
    writeFileSync(file, text);
    return file;
  };

  it.each([
    ['is not there', () => path.join(folder, 'none.json'), 'cannot read'],
    ['is no JSON', () => broken('hello'), 'it is no JSON list'],
    ['is no list', () => broken('{}'), 'it is no JSON list'],
    ['is a folder', () => folder, 'cannot read'],
    [
      'has a turn without text',
      () => broken('[{"conversations": [{"value": 1}, {"value": "x"}]}]'),
      'conversation 0',
    ],
    ['is too small', () => broken('[{"conversations": [{"value": "a"}, {"value": "x"}]}]'), 'has 1 usable'],
  ])('is refused: it %s', async (_name, file, words) => {
    await expect(make(cases[0]!, { path: file() })).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(new RegExp(`^--dataset-path: .*${words}`)),
    });
  });
});
