import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { splitPoint } from '../../src/core/load-share.ts';
import type { Phase } from '../../src/core/record.ts';
import type { DatasetFile, PointSpec, Prompt, PromptSpec } from '../../src/core/spec.ts';
import { findDataset, openTokenizer, preparePrompts } from '../../src/datasets/index.ts';
import type { PointPrompts, PreparedPrompts, PrepareJob } from '../../src/datasets/prepare.ts';
import { refusal } from '../fixtures/refusal.ts';
import { folderWith, wordPieceJson } from './small-tokenizers.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'datasets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const cacheDir = folderWith({});
const embedded = await openTokenizer('embedded');
const SAMPLES = path.join(import.meta.dirname, '../../datasets');
/** Of the embedded template. */
const SHARE = 4;

function fileOf(file: string, more: Partial<DatasetFile> = {}): DatasetFile {
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex');
  return { path: file, hash, order: 'file', repeat: false, osl: null, mostTokens: 2_048, ...more };
}

let written = 0;
function write(text: string): string {
  const file = path.join(folder, `${written++}.json`);
  writeFileSync(file, text);
  return file;
}

const point = (more: Partial<PointSpec> = {}): PointSpec => ({
  ...{ index: 0, concurrency: 2, isl: 0, osl: 0, requests: 4, durationMs: null, warmup: 0 },
  ...more,
});

function entry(whole: PointSpec, hold = 0): PointPrompts {
  return { point: whole, counts: { warmup: whole.warmup, measured: whole.requests ?? 0, hold } };
}

interface Made extends Omit<Prompt, 'content'> {
  readonly at: string;
  readonly text: string;
}

async function make(
  dataset: string,
  prompts: Partial<PromptSpec>,
  points: readonly PointPrompts[],
  more: Partial<PrepareJob> = {},
): Promise<{ result: PreparedPrompts; made: Made[] }> {
  const made: Made[] = [];
  const spec = { tokenizer: 'embedded', islCounts: 'prompt', rangeRatio: 1, text: 'words' } as const;
  const job: PrepareJob = {
    dataset,
    prompts: { ...spec, seed: 1, salt: 'salt', ...prompts },
    points,
    ...{ cacheDir, calibration: null, foreignServer: false },
    ...more,
  };
  const result = await preparePrompts(job, {
    add: (at: number, phase: Phase, index: number, { content, ...rest }: Prompt) => {
      made.push({ at: `${at} ${phase} ${index}`, text: JSON.parse(`"${Buffer.from(content)}"`), ...rest });
    },
  });
  if ('needsProbe' in result) throw new Error('asked for probes');
  return { result, made };
}

/** Tokens by the embedded tokenizer, its template left out. */
const tokens = (text: string): number => embedded.encode(text).length;
const words = (text: string, from: number, to: number): string => text.split(' ').slice(from, to).join(' ');

describe('a shared prefix', () => {
  const prefix = { tokens: 30, groups: 3, zipf: 0 };
  const shape = point({ isl: 60, osl: 5, requests: 60, warmup: 2 });

  it('is the same for a group and exactly as long as asked, the whole too, and nothing else is shared', async () => {
    const { result, made } = await make('prefix', { prefix }, [entry(shape)]);
    for (const { text, isl, promptTokens } of made) {
      expect([tokens(text) + SHARE, isl, promptTokens]).toEqual([60, 60, 60]);
      expect(tokens(words(text, 0, 30))).toBe(30);
    }
    const heads = made.map(({ text }) => words(text, 0, 30));
    expect(new Set(heads).size).toBe(3);
    const firsts = made.map(({ text }) => words(text, 30, 34));
    expect(new Set(firsts).size).toBe(made.length);
    for (const { text, keepBytes } of made) expect(text.slice(0, keepBytes)).toBe(`${words(text, 0, 30)} `);
    // 60 measured prompts, of which as many begin anew as groups were not met in the two of the warm-up.
    const fresh = 3 - new Set(heads.slice(0, 2)).size;
    expect(result.facts.sharedRatio).toBeCloseTo(((60 - fresh) * 30) / (60 * 60), 12);
  });

  it('is another in a run with another salt, of the same groups in the same order', async () => {
    const [one, other] = await Promise.all(
      ['a', 'b'].map(
        async (salt) => (await make('prefix', { prefix, salt, sharedSalt: salt }, [entry(shape)])).made,
      ),
    );
    const groups = (made: readonly Made[]): number[] => {
      const heads = [...new Set(made.map(({ text }) => words(text, 0, 30)))];
      return made.map(({ text }) => heads.indexOf(words(text, 0, 30)));
    };
    expect(groups(one!)).toEqual(groups(other!));
    const starts = [one!, other!].map((made) => new Set(made.map(({ text }) => words(text, 0, 4))));
    expect([...starts[0]!].filter((start) => starts[1]!.has(start))).toEqual([]);
  });

  it('is one for all load generators, whose other words differ', async () => {
    const shares = splitPoint(shape, 2);
    const run = [entry(shape)];
    const parts = await Promise.all(
      shares.map((share, rank) => {
        const before = { warmup: rank, measured: 30 * rank, hold: 0 };
        const salts = { salt: `x-r${rank}`, sharedSalt: 'x' };
        return make('prefix', { prefix, ...salts }, [{ ...entry(share), before }], { run });
      }),
    );
    const whole = await make('prefix', { prefix, salt: 'x' }, run);
    const heads = (made: readonly Made[]): string[] => made.map(({ text }) => words(text, 0, 30)).sort();
    expect(heads(parts.flatMap(({ made }) => made))).toEqual(heads(whole.made));
    for (const { result } of parts) expect(result.facts.sharedRatio).toBe(whole.result.facts.sharedRatio);
    const rest = parts.flatMap(({ made }) => made.map(({ text }) => words(text, 30, 34)));
    expect(new Set(rest).size).toBe(rest.length);
  });

  it('is drawn by Zipf where that is asked', async () => {
    const spec = { tokens: 5, groups: 3, zipf: 2 };
    const { made } = await make('prefix', { prefix: spec }, [
      entry({ ...shape, requests: 4_000, warmup: 0 }),
    ]);
    const counts = new Map<string, number>();
    for (const { text } of made) counts.set(words(text, 0, 5), (counts.get(words(text, 0, 5)) ?? 0) + 1);
    const sizes = [...counts.values()].sort((a, b) => b - a);
    // Weights 1, 1/4 and 1/9: 36/49, 9/49 and 4/49, within five standard errors.
    for (const [i, weight] of [36, 9, 4].entries()) {
      const share = weight / 49;
      const error = 5 * Math.sqrt(share * (1 - share) * 4_000);
      expect(Math.abs(sizes[i]! - 4_000 * share)).toBeLessThan(error);
    }
  });

  it.each([
    ['natural text', { text: 'corpus' }],
    ['lengths that scatter', { islSpread: { kind: 'normal', tokens: 20 } }],
  ] as const)('is exact with %s', async (_what, more) => {
    const { made } = await make('prefix', { prefix, ...more }, [entry({ ...shape, isl: 80 })]);
    for (const { text, isl, keepBytes } of made) {
      expect(tokens(text) + SHARE).toBe(isl);
      expect(tokens(text.slice(0, keepBytes! - 1))).toBe(30);
    }
  });

  it('is exact with a tokenizer whose words are no tokens', async () => {
    const tokenizer = folderWith({
      'tokenizer.json': wordPieceJson(['the', 'light', 'and', 'ing', 'tone']),
    });
    const counter = await openTokenizer(tokenizer);
    const { result, made } = await make(
      'prefix',
      { prefix, tokenizer, islCounts: 'content' },
      [entry({ ...shape, requests: 8 })],
      { calibration: 'unknown' },
    );
    expect(result.facts.method).toBe('adjust');
    expect(result.inexact).toBe(0);
    for (const { text } of made) expect(counter.encode(text).length).toBe(60);
    expect(new Set(made.map(({ text, keepBytes }) => text.slice(0, keepBytes))).size).toBe(3);
  });

  it('is refused when it leaves no room', async () => {
    await expect(make('prefix', { prefix }, [entry({ ...shape, isl: 34 })])).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('--isl: 34 tokens leave no room for a text of its own'),
    });
  });
});

describe('a trace', () => {
  const rows = [
    { timestamp: 0, input_length: 1_100, output_length: 7, hash_ids: [1, 2, 3] },
    { timestamp: 5, input_length: 1_600, output_length: 8, hash_ids: [1, 2, 4, 5] },
    { timestamp: 9, input_length: 700, output_length: 9, hash_ids: [6] },
    { timestamp: 9, input_length: 400, output_length: 1, hash_ids: [1] },
  ];
  const file = fileOf(write(rows.map((row) => JSON.stringify(row)).join('\n')));

  it('gives each prompt the length of its row, and equal ids equal blocks of 512 tokens', async () => {
    const { result, made } = await make('trace', { file }, [entry(point())]);
    expect(made.map(({ text }) => tokens(text) + SHARE)).toEqual([1_100, 1_600, 700, 400]);
    expect(made.map(({ isl, osl, promptTokens }) => [isl, osl, promptTokens])).toEqual(
      rows.map((row) => [row.input_length, row.output_length, row.input_length]),
    );
    const [a, b, c, d] = made.map(({ text }) => text) as [string, string, string, string];
    expect(words(a, 0, 1_024)).toBe(words(b, 0, 1_024));
    expect(words(a, 1_024, 1_032)).not.toBe(words(b, 1_024, 1_032));
    expect(words(b, 0, 396)).toBe(d);
    expect(words(c, 0, 4)).not.toBe(words(a, 0, 4));
    // Rows 2 and 4 begin with 1,024 and 400 tokens of an earlier one.
    expect(result.facts.sharedRatio).toBeCloseTo(1_424 / 3_800, 12);
    expect(result.facts.rows).toEqual({ count: 4, isl: 950, osl: 6, leftOut: {} });
    expect(result.salting.saltWords).toBe(0);
  });

  it('shares nothing between levels, phases, rounds and runs', async () => {
    const points = [point({ warmup: 4, requests: 8 }), point({ index: 1 })].map((each) => entry(each));
    const [one, other] = await Promise.all(['a', 'b'].map((salt) => make('trace', { file, salt }, points)));
    const starts = [...one!.made, ...other!.made].map(({ text }) => words(text, 0, 6));
    // Ids 1 and 6, in four goes through the trace (warm-up, two rounds, the second level) of two runs.
    expect(new Set(starts).size).toBe(2 * 4 * 2);
    expect(one!.result.warnings).toEqual([expect.stringContaining('goes through it up to 2 times')]);
  });

  it('has blocks of the size that its rows have ids for, and says so', async () => {
    const six = Array.from({ length: 6 }, (_, i) => ({
      ...rows[0],
      timestamp: i,
      input_length: 2_048,
      hash_ids: [1, 2],
    }));
    const wide = fileOf(write(six.map((row) => JSON.stringify(row)).join('\n')));
    const six1 = [entry(point({ requests: 6 }))];
    const { result, made } = await make('trace', { file: wide, islCounts: 'content' }, six1);
    expect(new Set(made.map(({ text }) => text)).size).toBe(1);
    expect(result.facts.sharedRatio).toBeCloseTo(5 / 6, 12);
    expect(result.warnings).toEqual([expect.stringContaining('blocks of 1024 tokens')]);
    const given = await make('trace', { file: { ...wide, blockTokens: 512 }, islCounts: 'content' }, six1);
    expect(given.result.facts.sharedRatio).toBeCloseTo(5 / 12, 12);
    expect(given.result.warnings).toEqual([]);
    expect(new Set(given.made.map(({ text }) => words(text, 0, 1_024))).size).toBe(1);
    expect(new Set(given.made.map(({ text }) => words(text, 1_024, 1_032))).size).toBe(6);
  });

  it('distinguishes ids of 64 bits, however near they are', async () => {
    const ids = [
      ['9223372036854775808', '4611686018427387904'],
      ['9223372036854775809', '4611686018427387904'],
      ['9223372036854775808', '4611686018427387911'],
    ];
    const lines = ids.map(
      (pair) => `{"timestamp":0,"input_length":1024,"output_length":1,"hash_ids":[${pair}]}`,
    );
    const file64 = fileOf(write(lines.join('\n')));
    const { result, made } = await make('trace', { file: file64, islCounts: 'content' }, [
      entry(point({ requests: 3 })),
    ]);
    const [a, b, c] = made.map(({ text }) => text) as [string, string, string];
    expect(words(a, 0, 512)).toBe(words(c, 0, 512));
    expect(words(a, 0, 8)).not.toBe(words(b, 0, 8));
    expect(words(a, 513, 1_024)).toBe(words(b, 513, 1_024));
    expect(result.facts.sharedRatio).toBeCloseTo(512 / 3_072, 12);
  });

  it('is in step with its timestamps on load generators that take every second arrival', async () => {
    const open = point({ ratePerS: 1, requests: 4 });
    const parts = await Promise.all(
      splitPoint(open, 2).map((share, rank) =>
        make('trace', { file, salt: `s-r${rank}`, sharedSalt: 's' }, [entry(share)], { run: [entry(open)] }),
      ),
    );
    expect(parts.map(({ made }) => made.map(({ isl }) => isl))).toEqual([
      [1_100, 700],
      [1_600, 400],
    ]);
    expect(words(parts[0]!.made[0]!.text, 0, 1_024)).toBe(words(parts[1]!.made[0]!.text, 0, 1_024));
  });

  it('with a row that has no room for the template is refused, and one that has changed', async () => {
    const short = fileOf(write('{"timestamp":0,"input_length":4,"output_length":1}'));
    await expect(make('trace', { file: short }, [entry(point())])).rejects.toMatchObject({
      exitCode: 2,
      message: `${short.path}, line 1: input_length 4 leaves no room: the chat template alone takes 4`,
    });
    await expect(
      make('trace', { file: { ...file, hash: 'f'.repeat(64) } }, [entry(point())]),
    ).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining('has changed since the run') });
  });
});

describe('prompts of one’s own', () => {
  const lines = [
    { prompt: 'Say "hi" to the café.\n', osl: 5 },
    { text: 'Second one, please.', output_tokens: 6 },
    { messages: [{ role: 'user', content: 'Third: 你好 🙂' }], max_tokens: 7, isl: 99 },
    { prompt: 'The fourth has no length' },
  ];
  const texts = ['Say "hi" to the café.\n', 'Second one, please.', 'Third: 你好 🙂', lines[3]!.prompt!];
  const own = (more: Partial<DatasetFile> = {}): DatasetFile =>
    fileOf(write(lines.map((line) => JSON.stringify(line)).join('\n')), { osl: 8, ...more });

  it('are sent unchanged in the order of the file, counted in the template', async () => {
    const { result, made } = await make('jsonl', { file: own() }, [entry(point())]);
    expect(made.map(({ text }) => text)).toEqual(texts);
    expect(made.map(({ osl }) => osl)).toEqual([5, 6, 7, 8]);
    const counted = texts.map((text) => tokens(text.trim()) + SHARE);
    expect(made.map(({ promptTokens }) => promptTokens)).toEqual(counted);
    // The third row states a length of its own.
    expect(made.map(({ isl }) => isl)).toEqual([counted[0], counted[1], 99, counted[3]]);
    expect(result.warnings).toEqual([
      expect.stringContaining(
        '1 of 1 input lengths that the dataset states are not what the tokenizer counts',
      ),
    ]);
    expect(result.facts).toMatchObject({ method: 'given', rows: { count: 4, osl: 7 } });
  });

  it('have no asked length where the tokenizer is not the model’s', async () => {
    const { result, made } = await make('jsonl', { file: own() }, [entry(point())], { foreignServer: true });
    expect(made.map(({ isl, promptTokens }) => [isl, promptTokens])).toEqual([
      [null, null],
      [null, null],
      [99, null],
      [null, null],
    ]);
    expect(result.facts).toMatchObject({ estimates: true, rows: { isl: null } });
  });

  it('go on from level to level, so that none is sent twice', async () => {
    const two = [point({ requests: 1, warmup: 1 }), point({ index: 1, requests: 2 })].map((each) =>
      entry(each),
    );
    const all = await make('jsonl', { file: own() }, two);
    expect(all.made.map(({ text }) => text)).toEqual(texts);
    const later = await make('jsonl', { file: own() }, two.slice(1), { run: two });
    expect(later.made).toEqual(all.made.slice(2));
  });

  it('are shuffled by the seed where that is asked', async () => {
    const orderOf = async (seed: number): Promise<string[]> =>
      (await make('jsonl', { file: own({ order: 'shuffled' }), seed }, [entry(point())])).made.map(
        ({ text }) => text,
      );
    const orders = await Promise.all([1, 1, 2, 3, 4].map(orderOf));
    expect(orders[0]).toEqual(orders[1]);
    expect(new Set(orders.map((order) => order.join())).size).toBeGreaterThan(1);
    for (const order of orders) expect([...order].sort()).toEqual([...texts].sort());
  });

  it('are refused when they are too few, unless they may repeat', async () => {
    const many = [entry(point({ requests: 5, warmup: 1 }))];
    await expect(make('jsonl', { file: own() }, many)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('has 4 usable rows, and 6 prompts are wanted'),
      hint: expect.stringContaining('--dataset-repeat'),
    });
    const { result, made } = await make('jsonl', { file: own({ repeat: true }) }, many);
    expect(made.map(({ text }) => text)).toEqual([...texts, ...texts.slice(0, 2)]);
    expect(result.warnings[0]).toContain('prompts repeat: 4 rows for 6 prompts');
  });
});

describe('ShareGPT', () => {
  const file = fileOf(path.join(SAMPLES, 'sharegpt-sample.json'), { order: 'shuffled' });
  const conversations = JSON.parse(readFileSync(file.path, 'utf8')) as {
    conversations: { value: string }[];
  }[];

  it('gives first questions with answers as long as theirs, and tells what it leaves out', async () => {
    const { result, made } = await make('sharegpt', { file }, [entry(point({ requests: 9 }))]);
    const known = new Map(
      conversations.map(({ conversations: [question, answer] }) => [question!.value, answer?.value]),
    );
    for (const { text, osl, promptTokens } of made) {
      expect(osl).toBe(tokens(known.get(text)!));
      expect(promptTokens).toBe(tokens(text) + SHARE);
    }
    expect(new Set(made.map(({ text }) => text)).size).toBe(9);
    expect(made.map(({ text }) => text)).not.toContain('Thanks');
    expect(result.facts.rows).toMatchObject({
      count: 9,
      leftOut: { 'without a question and an answer': 1, 'shorter than 4 tokens': 1 },
    });
    expect(result.warnings).toEqual([expect.stringContaining('2 rows of the dataset were left out')]);
  });

  it('leaves out what is too long, and takes a length for all answers', async () => {
    const short = { ...file, mostTokens: 60, osl: 20, repeat: true };
    const { made } = await make('sharegpt', { file: short }, [entry(point({ requests: 9 }))]);
    for (const { text, osl } of made) {
      expect(osl).toBe(20);
      expect(tokens(text) + 20).toBeLessThanOrEqual(60);
    }
  });

  const question = (number: number) => ({
    from: 'human',
    value: `Why is the sky blue at noon? Number ${number}.`,
  });
  const answer = { from: 'gpt', value: 'It is so because light is scattered by the air.' };
  const inLists = (list: readonly unknown[]): DatasetFile => fileOf(write(JSON.stringify(list)));

  it.each<readonly [string, unknown, string]>([
    [
      'a question that is null',
      { conversations: [{ from: 'human', value: null }, answer] },
      'with a turn without text',
    ],
    [
      'an answer that is null',
      { conversations: [question(9), { from: 'gpt', value: null }] },
      'with a turn without text',
    ],
    ['a turn that is null', { conversations: [null, answer] }, 'with a turn without text'],
    ['no turns', { conversations: null }, 'without a list "conversations"'],
    ['turns that are no list', { conversations: 'none' }, 'without a list "conversations"'],
    ['nothing in it', null, 'without a list "conversations"'],
    ['a text', 'text', 'without a list "conversations"'],
    ['no answer', { conversations: [question(9)] }, 'without a question and an answer'],
    [
      'no question',
      { conversations: [answer, { from: 'system', value: 'x' }] },
      'without a question and an answer',
    ],
    [
      'no answer behind its tool',
      { conversations: [question(9), { from: 'function_call', value: '{"a": 1, "b": 2}' }] },
      'without a question and an answer',
    ],
    [
      'an answer by an unknown role',
      { conversations: [question(9), { from: 'critic', value: answer.value }] },
      'without a question and an answer',
    ],
    [
      'half a surrogate pair',
      { conversations: [question(9), { from: 'gpt', value: 'It is so because \ud800 light' }] },
      'with half of a surrogate pair',
    ],
  ])('leaves out and counts a conversation with %s', async (_what, bad, why) => {
    const good = [1, 2].map((number) => ({ conversations: [question(number), answer] }));
    const { result, made } = await make('sharegpt', { file: inLists([good[0], bad, good[1]]) }, [
      entry(point({ requests: 2 })),
    ]);
    expect(made.map(({ text, osl }) => [text, osl])).toEqual(
      [1, 2].map((number) => [question(number).value, tokens(answer.value)]),
    );
    expect(result.facts.rows).toMatchObject({ count: 2, leftOut: { [why]: 1 } });
    expect(result.warnings).toEqual([
      expect.stringContaining(`1 row of the dataset was left out (left out: 1 ${why})`),
    ]);
  });

  it.each<readonly [string, readonly unknown[]]>([
    [
      'a tool',
      [
        { from: 'function_call', value: '{"name":"look_up"}' },
        { from: 'observation', value: 'it says forty-two' },
      ],
    ],
    [
      'a second question',
      [{ from: 'human', value: 'And please answer in French, in no more than two hundred words.' }],
    ],
    [
      'a call of OpenAI’s form',
      [
        { role: 'assistant', content: null, tool_calls: [{ id: 'a' }] },
        { role: 'tool', content: 'forty-two it is' },
      ],
    ],
    [
      'a call with words',
      [{ role: 'assistant', content: 'Let me look that up for you now.', function_call: { name: 'a' } }],
    ],
    ['a system message', [{ role: 'system', content: 'Be brief and kind to all.' }]],
    [
      'an empty list of calls',
      [
        { ...answer, tool_calls: [] },
        { from: 'gpt', value: 'Something else entirely.' },
      ],
    ],
  ])('takes the length of the next answer, behind %s', async (_what, between) => {
    const turns = [
      question(1),
      ...between,
      { from: 'GPT', value: answer.value },
      question(2),
      { from: 'gpt', value: 'Short it is, so.' },
    ];
    const { made } = await make('sharegpt', { file: inLists([{ conversations: turns }]) }, [
      entry(point({ requests: 1 })),
    ]);
    expect(made.map(({ text, osl }) => [text, osl])).toEqual([[question(1).value, tokens(answer.value)]]);
  });

  it('takes turns without a speaker as alternating', async () => {
    const turns = [{ value: question(1).value }, { value: answer.value }];
    const { made } = await make('sharegpt', { file: inLists([{ conversations: turns }]) }, [
      entry(point({ requests: 1 })),
    ]);
    expect(made.map(({ text, osl }) => [text, osl])).toEqual([[question(1).value, tokens(answer.value)]]);
    expect(tokens(answer.value)).not.toBe(tokens(question(1).value));
  });

  it('passes over empty lines, and a byte-order mark', async () => {
    const lines = [1, 2].map((number) => JSON.stringify({ conversations: [question(number), answer] }));
    const two = [entry(point({ requests: 2 }))];
    for (const text of [`\ufeff${lines.join('\n\n \r\n')}\n\n`, `\ufeff\n[${lines}]\n`]) {
      const { result, made } = await make('sharegpt', { file: fileOf(write(text)) }, two);
      expect(made.map((one) => one.text)).toEqual([question(1).value, question(2).value]);
      expect(result.facts.rows!.leftOut).toEqual({});
      expect(result.warnings).toEqual([]);
    }
  });

  it('is read as one conversation a line, and from the first question on', async () => {
    const turns = [
      { from: 'gpt', value: 'Hello there, ask me anything.' },
      { role: 'user', content: 'What do whales eat in winter?' },
      { role: 'assistant', content: 'Little, most of them fast until spring.' },
    ];
    const lines = fileOf(write(`${JSON.stringify({ conversations: turns })}\n`));
    const { made } = await make('sharegpt', { file: lines }, [entry(point({ requests: 1 }))]);
    expect(made[0]).toMatchObject({ text: turns[1]!.content, osl: tokens(turns[2]!.content!) });
  });
});

describe('a file that is wrong', () => {
  it.each([
    ['jsonl', 'no JSON', '{"prompt": "a", "osl": 1}\n{"prompt"', 'line 2: not JSON'],
    ['jsonl', 'no object', '"text"', 'line 1: "text" is no JSON object'],
    ['jsonl', 'no prompt', '\n{"osl": 3}', 'line 2: it has no prompt'],
    ['jsonl', 'an empty prompt', '{"prompt": " ", "osl": 3}', 'line 1: prompt " " is no text'],
    ['jsonl', 'a number as its prompt', '{"text": 4, "osl": 3}', 'line 1: text 4 is no text'],
    ['jsonl', 'no output length', '{"prompt": "a"}', 'line 1: it has no output length'],
    ['jsonl', 'an output of nothing', '{"prompt": "a", "osl": 0}', 'line 1: osl 0 is no whole number'],
    ['jsonl', 'a broken isl', '{"prompt": "a", "osl": 1, "isl": "9"}', 'line 1: isl "9" is no whole number'],
    [
      'jsonl',
      'a conversation',
      '{"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}], "osl": 1}',
      'line 1: messages [{"role":"system"',
    ],
    ['jsonl', 'no rows', '\n', 'has no rows'],
    ['trace', 'a broken row', '{"timestamp": 0}', 'line 1: input_length (missing)'],
    ['sharegpt', 'no JSON', '[{"conversations": [', 'at conversation 1 ('],
    [
      'sharegpt',
      'no conversation of use',
      '[{"conversations": []}, {"text": 1}, 5]',
      'has no usable row (left out: 1 without a question and an answer, 2 without a list "conversations")',
    ],
    ['sharegpt', 'nothing in it', '\n', 'has no usable row'],
    [
      'jsonl',
      'half a surrogate pair',
      '{"prompt": "a \\ud83d b", "osl": 1}',
      'line 1: prompt has \\ud83d without',
    ],
    [
      'jsonl',
      'the other half',
      '{"text": "a", "osl": 1}\n{"text": "\\uDE42", "osl": 1}',
      'line 2: text has \\ude42',
    ],
    [
      'trace',
      'more ids than blocks',
      '{"timestamp":0,"input_length":9,"output_length":1,"hash_ids":[1,2,3,4,5]}',
      'line 1: 5 hash_ids',
    ],
    ['sharegpt', 'no JSON in a line', '{"conversations": []}\n\n{', 'at line 3 ('],
  ])('%s with %s is refused with its place', (name, _what, text, says) => {
    const file = write(text);
    let thrown: unknown = null;
    try {
      findDataset(name)!.check!({ path: file, osl: null });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ exitCode: 2, hint: expect.any(String) });
    expect((thrown as Error).message).toContain(file);
    expect((thrown as Error).message).toContain(says);
  });

  const inJson = '{"prompt": "Où est-ce?", "osl": 4}';
  const inTurns = JSON.stringify({
    conversations: [{ value: 'Où est-ce, s’il vous plaît?' }, { value: 'Là-bas, je crois.' }],
  });
  it.each([
    ['jsonl', `${inJson}\n${inJson}`],
    ['sharegpt', `${inTurns}\n${inTurns}`],
    ['sharegpt', `[${inTurns},\n${inTurns}]`],
    ['trace', '{"timestamp": 0, "input_length": 60, "output_length": 6, "note": "é"}'],
  ])('%s in another encoding is refused, never altered: %s', (name, text) => {
    const check = (content: string | Uint8Array): void => {
      const file = path.join(folder, `${written++}.json`);
      writeFileSync(file, content);
      findDataset(name)!.check!({ path: file, osl: null });
    };
    check(text);
    check(`\ufeff${text}`);
    const sound = text.replaceAll('’', "'");
    expect(refusal(() => check(Buffer.from(sound, 'latin1'))).message).toMatch(
      /, line 1, byte \d+: 0x(D9|F9|E9) is not UTF-8$/,
    );
    for (const mark of ['', '\ufeff'])
      expect(refusal(() => check(Buffer.from(mark + text, 'utf16le'))).message).toContain(
        'the file is UTF-16LE',
      );
    expect(refusal(() => check(Buffer.from(`\ufeff${text}`, 'utf16le').swap16())).message).toContain(
      'the file is UTF-16BE',
    );
  });

  it.each(['jsonl', 'trace', 'sharegpt'])('%s that is not there is refused', (name) => {
    expect(() => findDataset(name)!.check!({ path: '/no/such', osl: 1 })).toThrow(
      '--dataset-path: cannot read /no/such',
    );
  });

  it.each([
    ['jsonl', 'prompts-sample.jsonl'],
    ['trace', 'trace-sample.jsonl'],
    ['sharegpt', 'sharegpt-sample.json'],
  ])('the sample of %s is right', (name, file) => {
    findDataset(name)!.check!({ path: path.join(SAMPLES, file), osl: null });
  });
});
