import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Phase } from '../../src/core/record.ts';
import type { PointSpec, Prompt, PromptSpec } from '../../src/core/spec.ts';
import { fitCalibration, iteratePrompts, preparePrompts } from '../../src/datasets/index.ts';
import type { PreparedPrompts, PrepareJob, PrepareResult, Probe } from '../../src/datasets/prepare.ts';
import { CountedCorpus, corpusPieces } from '../../src/datasets/text-maker.ts';
import { byteLevelJson, folderWith, madeUpWords, unigramJson, wordPieceJson } from './small-tokenizers.ts';

const cacheDir = folderWith({});
const WORDS = new Set(
  readFileSync(new URL('../../datasets/tokenizer/words.txt', import.meta.url), 'utf8')
    .trim()
    .split('\n'),
);
/** <|begin|>, <|user|>, <|end|> and <|assistant|> of the embedded template. */
const EMBEDDED_SHARE = 4;
const CHAT = '{{ bos_token }}{% for m in messages %}{{ m.content | trim }}</s>{% endfor %}';

const point = (isl: number, osl = 16, index = 0): PointSpec => ({
  index,
  concurrency: 1,
  isl,
  osl,
  requests: null,
  durationMs: null,
  warmup: 0,
});

interface Options extends Partial<PromptSpec>, Partial<Omit<PrepareJob, 'prompts' | 'points'>> {
  readonly points?: readonly PointSpec[];
  readonly count?: number;
}

function jobOf({
  points = [point(50)],
  count = 20,
  calibration = null,
  foreignServer = false,
  ...rest
}: Options): PrepareJob {
  return {
    dataset: rest.dataset ?? 'random',
    prompts: {
      tokenizer: rest.tokenizer ?? 'embedded',
      islCounts: rest.islCounts ?? 'prompt',
      rangeRatio: rest.rangeRatio ?? 1,
      text: rest.text ?? 'words',
      seed: rest.seed ?? 7,
      salt: rest.salt ?? 'salt',
    },
    points: points.map((each) => ({ point: each, counts: { warmup: 2, measured: count, hold: 1 } })),
    cacheDir: rest.cacheDir === undefined ? cacheDir : rest.cacheDir,
    calibration,
    foreignServer,
  };
}

interface Sunk extends Prompt {
  /** Always known where prompts are made. */
  readonly isl: number;
  readonly key: string;
  readonly text: string;
}

async function run(options: Options): Promise<{ result: PrepareResult; sunk: Sunk[] }> {
  const sunk: Sunk[] = [];
  const result = await preparePrompts(jobOf(options), {
    add: (at: number, phase: Phase, index: number, prompt: Prompt) => {
      const text = JSON.parse(`"${Buffer.from(prompt.content).toString('utf8')}"`) as string;
      sunk.push({ ...prompt, isl: prompt.isl!, key: `${at} ${phase} ${index}`, text });
    },
  });
  return { result, sunk };
}

async function prepare(options: Options): Promise<{ result: PreparedPrompts; sunk: Sunk[] }> {
  const { result, sunk } = await run(options);
  if ('needsProbe' in result) throw new Error('asked for probes');
  return { result, sunk };
}

const wordsIn = (text: string): number => text.split(' ').length;

/** Counts WordPiece by hand: the longest entry first, from the left; one unknown token for what has none. */
function wordPieceCount(text: string, entries: ReadonlySet<string>): number {
  let tokens = 0;
  for (const [piece] of text.matchAll(/[a-zA-Z0-9]+|[^a-zA-Z0-9\s]/g)) {
    let pieces = 0;
    for (let at = 0; at < piece.length; pieces++) {
      let end = piece.length;
      while (end > at && !entries.has((at === 0 ? '' : '##') + piece.slice(at, end))) end--;
      if (end === at) {
        pieces = 1;
        break;
      }
      at = end;
    }
    tokens += pieces;
  }
  return tokens;
}

describe('prompts of random words', () => {
  it('have exactly ISL tokens with the template', async () => {
    const { result, sunk } = await prepare({ points: [point(5), point(12, 16, 1), point(333, 16, 2)] });
    expect(sunk.length).toBe(3 * 23);
    for (const { text, isl, promptTokens } of sunk) {
      expect(text.split(' ').every((word) => WORDS.has(word))).toBe(true);
      expect(wordsIn(text) + EMBEDDED_SHARE).toBe(isl);
      expect(promptTokens).toBe(isl);
    }
    expect(new Set(sunk.map(({ isl }) => isl))).toEqual(new Set([5, 12, 333]));
    expect(result.facts).toMatchObject({
      method: 'words',
      wordCount: WORDS.size,
      template: { source: 'embedded', tokens: EMBEDDED_SHARE, by: 'computed' },
      estimates: false,
    });
    expect(result).toMatchObject({ inexact: 0, warnings: [] });
  });

  it('have exactly ISL tokens without it when ISL counts the content', async () => {
    const { sunk } = await prepare({ points: [point(1), point(40, 16, 1)], islCounts: 'content' });
    for (const { text, isl, promptTokens } of sunk) {
      expect(wordsIn(text)).toBe(isl);
      expect(promptTokens).toBe(isl + EMBEDDED_SHARE);
    }
  });

  it('need no escape in JSON', async () => {
    const { sunk } = await prepare({});
    for (const { content, text } of sunk) expect(Buffer.from(content).toString('utf8')).toBe(text);
  });

  it('are the same for the same seed and salt, and differ in their first words otherwise', async () => {
    const [one, same, otherSalt, otherSeed] = await Promise.all([
      prepare({}),
      prepare({}),
      prepare({ salt: 'other' }),
      prepare({ seed: 8 }),
    ]);
    expect(same.sunk).toEqual(one.sunk);
    const starts = [one, otherSalt, otherSeed].flatMap(({ sunk }) =>
      sunk.map(({ text }) => text.split(' ').slice(0, 4).join(' ')),
    );
    expect(new Set(starts).size).toBe(starts.length);
  });

  it('come in the order of phases and indices', async () => {
    const { sunk } = await prepare({ points: [point(20, 16, 3)], count: 2 });
    expect(sunk.map(({ key }) => key)).toEqual([
      '3 warmup 0',
      '3 warmup 1',
      '3 measured 0',
      '3 measured 1',
      '3 hold 0',
    ]);
  });

  it('check more when the proof of the words is fresh', async () => {
    const fresh = { cacheDir: folderWith({}), points: [point(30), point(60, 16, 1)] };
    expect((await prepare(fresh)).result.facts.checked).toBe(32);
    expect((await prepare(fresh)).result.facts.checked).toBe(2);
  });

  it('refuses lengths below the template, and says the least', async () => {
    await expect(run({ points: [point(4)] })).rejects.toMatchObject({
      exitCode: 2,
      message: '--isl: 4 tokens leave no room: the chat template alone takes 4',
      hint: expect.stringContaining('at least 5'),
    });
  });

  it('names the datasets when it is asked for another', async () => {
    await expect(run({ dataset: 'squad' })).rejects.toMatchObject({
      exitCode: 2,
      hint: 'known: random, prefix, multi-turn, sharegpt, jsonl, trace',
    });
  });
});

describe('ranges of lengths', () => {
  it('are uniform in [L·ratio, L], for input and output independently', async () => {
    const { sunk } = await prepare({ points: [point(101, 41)], rangeRatio: 0.5, count: 2_000 });
    const measured = sunk.filter(({ key }) => key.includes('measured'));
    const spanOf = (values: readonly number[]): [number, number] => [
      Math.min(...values),
      Math.max(...values),
    ];
    const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;
    const isl = measured.map((prompt) => prompt.isl);
    const osl = measured.map((prompt) => prompt.osl);
    // trunc(101 · 0.5) = 50 and trunc(41 · 0.5) = 20.
    expect(spanOf(isl)).toEqual([50, 101]);
    expect(spanOf(osl)).toEqual([20, 41]);
    // Five standard errors of a uniform mean over 2,000 draws.
    expect(Math.abs(meanOf(isl) - 75.5)).toBeLessThan((5 * 15) / Math.sqrt(2_000));
    expect(Math.abs(meanOf(osl) - 30.5)).toBeLessThan((5 * 6.4) / Math.sqrt(2_000));
    const covariance = meanOf(isl.map((value, i) => (value - 75.5) * (osl[i]! - 30.5)));
    expect(Math.abs(covariance) / (15 * 6.4)).toBeLessThan(5 / Math.sqrt(2_000));
    for (const { text, isl: length } of measured) expect(wordsIn(text) + EMBEDDED_SHARE).toBe(length);
  });

  it('do not hang on the salt', async () => {
    const lengths = async (salt: string): Promise<number[][]> =>
      (await prepare({ salt, rangeRatio: 0.2 })).sunk.map(({ isl, osl }) => [isl, osl]);
    expect(await lengths('a')).toEqual(await lengths('b'));
  });

  it('start above the template, with a warning', async () => {
    const { result, sunk } = await prepare({ points: [point(8)], rangeRatio: 0, count: 200 });
    expect(Math.min(...sunk.map(({ isl }) => isl))).toBe(5);
    expect(result.warnings).toEqual([expect.stringContaining('start at 5')]);
  });
});

describe('prompts of natural text', () => {
  it('have salt words, then the corpus as it is written', async () => {
    const corpus = readFileSync(new URL('../../datasets/corpus.txt', import.meta.url), 'utf8');
    const { result, sunk } = await prepare({ text: 'corpus', points: [point(400)] });
    expect(result.facts.method).toBe('words');
    for (const { text, promptTokens } of sunk) {
      const [salt, body] = [text.split(' ').slice(0, 8), text.split(' ').slice(8).join(' ')];
      expect(salt.every((word) => WORDS.has(word))).toBe(true);
      expect(corpus).toContain(body.slice(0, 600));
      expect(promptTokens).toBe(400);
    }
    expect(new Set(sunk.map(({ text }) => text.slice(-200))).size).toBe(sunk.length);
  });

  it('goes on at the start where the corpus ends', () => {
    // Tokens: one per letter.
    const corpus = new CountedCorpus(corpusPieces('aa b ccc'), (piece) => piece.length - 1);
    expect(corpus.take(0, 6)).toEqual({ text: ' aa b ccc', tokens: 6 });
    expect(corpus.take(1, 4)).toEqual({ text: ' b ccc', tokens: 4 });
    expect(corpus.take(2, 5)).toEqual({ text: ' ccc aa', tokens: 5 });
    expect(corpus.take(2, 4)).toEqual({ text: ' ccc', tokens: 3 });
    expect(corpus.take(1, 13)).toEqual({ text: ' b ccc aa b ccc aa b', tokens: 13 });
    expect(corpus.take(2, 2)).toEqual({ text: '', tokens: 0 });
  });

  it('takes as many whole pieces as fit', () => {
    const pieces = corpusPieces('one three a bb of seventeen and the');
    const corpus = new CountedCorpus(pieces, (piece) => piece.length - 1);
    fc.assert(
      fc.property(fc.nat(pieces.length - 1), fc.nat(120), (start, atMost) => {
        const { text, tokens } = corpus.take(start, atMost);
        const letters = text.replaceAll(' ', '').length;
        const next = pieces[(start + (text.match(/ /g)?.length ?? 0)) % pieces.length]!;
        expect(tokens).toBe(letters);
        expect(tokens).toBeLessThanOrEqual(atMost);
        expect(tokens + next.length - 1).toBeGreaterThan(atMost);
      }),
    );
  });
});

describe('an unknown template', () => {
  const probesOf = async (options: Options): Promise<readonly [Probe, Probe]> => {
    const { result } = await run(options);
    if (!('needsProbe' in result)) throw new Error('asked for no probes');
    return result.needsProbe;
  };

  it('of a foreign server asks for two salted probes', async () => {
    const probes = await probesOf({ foreignServer: true });
    expect(probes.map(({ tokens }) => tokens)).toEqual([32, 512]);
    expect(probes.map(({ content }) => wordsIn(content))).toEqual([32, 512]);
    expect(probes).not.toEqual(await probesOf({ foreignServer: true, salt: 'other' }));
  });

  it('of a tokenizer without one asks too', async () => {
    const tokenizer = folderWith({ 'tokenizer.json': byteLevelJson(madeUpWords(1_200)) });
    expect((await probesOf({ tokenizer }))[1].tokens).toBe(512);
  });

  it('is exact after calibration with a server whose words are one token each', async () => {
    const probes = await probesOf({ foreignServer: true });
    const calibration = fitCalibration(probes, [32 + 13, 512 + 13]);
    expect(calibration).toEqual({ slope: 1, interceptTokens: 13 });
    const { result, sunk } = await prepare({ foreignServer: true, calibration });
    for (const { text, promptTokens } of sunk) {
      expect(wordsIn(text)).toBe(50 - 13);
      expect(promptTokens).toBe(50);
    }
    expect(result.facts).toMatchObject({
      estimates: true,
      template: { source: 'server', hash: null, tokens: 13, by: 'calibrated' },
    });
  });

  it('is estimated with a server whose words are more than one token', async () => {
    const calibration = fitCalibration(await probesOf({ foreignServer: true }), [
      32 * 1.5 + 4,
      512 * 1.5 + 4,
    ]);
    const { sunk } = await prepare({ foreignServer: true, calibration, points: [point(304)] });
    for (const { text, promptTokens } of sunk) {
      expect(wordsIn(text)).toBe(200);
      expect(promptTokens).toBeNull();
    }
  });

  it('does not change a text whose bare tokens are counted', async () => {
    await expect(prepare({ foreignServer: true, islCounts: 'content' })).rejects.toThrow('asked for probes');
    const { result, sunk } = await prepare({
      foreignServer: true,
      islCounts: 'content',
      calibration: 'unknown',
    });
    expect(sunk.every(({ text, promptTokens }) => wordsIn(text) === 50 && promptTokens === null)).toBe(true);
    expect(result.facts).toMatchObject({ estimates: true, template: { tokens: null, by: 'unknown' } });
  });

  it('cannot be fitted to counts that do not grow', async () => {
    const probes = await probesOf({ foreignServer: true });
    expect(() => fitCalibration(probes, [45, 45])).toThrow('the server counted 45 tokens');
  });
});

describe('tokenizers without words of one token', () => {
  const json = wordPieceJson(['the', 'light', 'and', 'ing', 'tone']);
  const entries = new Set(Object.keys((json as { model: { vocab: object } }).model.vocab));
  const tokenizer = folderWith({
    'tokenizer.json': json,
    'tokenizer_config.json': { bos_token: '<s>', chat_template: CHAT },
  });

  it.each([
    ['words', 'prompt'],
    ['corpus', 'prompt'],
    ['words', 'content'],
  ] as const)('are encoded and adjusted: %s, ISL counts the %s', async (text, islCounts) => {
    const points = [3, 9, 64, 301].map((isl, index) => point(isl, 16, index));
    const { result, sunk } = await prepare({ tokenizer, text, islCounts, points, count: 5 });
    expect(result.facts).toMatchObject({ method: 'adjust', wordCount: 0, template: { by: 'computed' } });
    expect(result.inexact).toBe(0);
    for (const prompt of sunk) {
      const content = wordPieceCount(prompt.text, entries);
      expect(content + (islCounts === 'prompt' ? 2 : 0)).toBe(prompt.isl);
      expect(prompt.promptTokens).toBe(content + 2);
    }
    const long = sunk.filter(({ isl }) => isl >= 64);
    expect(new Set(long.map((prompt) => prompt.text)).size).toBe(long.length);
  });

  it('report the lengths that cannot be met', async () => {
    // Each character but the space is two bytes here and no text has an odd count.
    const doubling = {
      ...byteLevelJson([]),
      normalizer: { type: 'Replace', pattern: { Regex: '[^ ]' }, content: 'bb' },
      pre_tokenizer: { type: 'WhitespaceSplit' },
    };
    const folder = folderWith({ 'tokenizer.json': doubling });
    const { result, sunk } = await prepare({
      tokenizer: folder,
      islCounts: 'content',
      calibration: 'unknown',
      points: [point(31)],
      count: 3,
    });
    expect(result.inexact).toBe(sunk.length);
    expect(result.warnings).toEqual([expect.stringContaining(`${sunk.length} prompts`)]);
  });
});

describe('other kinds of vocabulary', () => {
  it.each([
    ['WordPiece', wordPieceJson(madeUpWords(1_200))],
    ['SentencePiece unigram', unigramJson(madeUpWords(1_200))],
    ['byte-level BPE', byteLevelJson(madeUpWords(1_200))],
  ])('with words make exact prompts by construction: %s', async (_, json) => {
    const tokenizer = folderWith({
      'tokenizer.json': json,
      // The space is for SentencePiece, whose words start with one wherever they stand.
      'tokenizer_config.json': { bos_token: '<s>', chat_template: CHAT.replace('{{ m', "{{ ' ' + m") },
    });
    const { result, sunk } = await prepare({ tokenizer, points: [point(3), point(90, 16, 1)] });
    expect(result.facts.method).toBe('words');
    for (const { text, isl } of sunk) expect(wordsIn(text) + 2).toBe(isl);
  });
});

describe('a check that does not hold', () => {
  it('has each prompt encoded and corrected instead', async () => {
    const json = wordPieceJson(madeUpWords(1_200));
    const entries = new Set(Object.keys((json as { model: { vocab: object } }).model.vocab));
    // A frame to look at, but it takes syllables out of some words.
    const chat = CHAT.replace('| trim', "| replace('ba', '')");
    const tokenizer = folderWith({
      'tokenizer.json': json,
      'tokenizer_config.json': { bos_token: '<s>', chat_template: chat },
    });
    const { result, sunk } = await prepare({ tokenizer, points: [point(60)] });
    expect(result.facts.method).toBe('adjust');
    expect(result.inexact).toBe(0);
    expect(result.warnings).toEqual([expect.stringContaining('encoded and corrected')]);
    for (const { text, isl } of sunk) {
      expect(wordPieceCount(text.replaceAll('ba', ''), entries) + 2).toBe(isl);
    }
  });
});

describe('iteratePrompts', () => {
  it('gives the prompts that are prepared', async () => {
    const { sunk } = await prepare({ rangeRatio: 0.5 });
    const texts: string[] = [];
    for await (const prompt of iteratePrompts(jobOf({ rangeRatio: 0.5 }))) {
      texts.push(
        `${prompt.point} ${prompt.phase} ${prompt.index} ${prompt.isl} ${prompt.osl} ${prompt.text}`,
      );
    }
    expect(texts).toEqual(sunk.map(({ key, isl, osl, text }) => `${key} ${isl} ${osl} ${text}`));
  });

  it('says what to do about a missing template', async () => {
    const tokenizer = folderWith({ 'tokenizer.json': byteLevelJson(madeUpWords(1_200)) });
    await expect(iteratePrompts(jobOf({ tokenizer })).next()).rejects.toMatchObject({
      exitCode: 2,
      hint: expect.stringContaining('--isl-counts content'),
    });
  });
});
