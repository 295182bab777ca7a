import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { parseServing } from '../../src/commands/serving/arguments.ts';
import { chooseTokenizer, servingAccess, servingSpec } from '../../src/commands/serving/spec.ts';
import type { RunSpec } from '../../src/core/spec.ts';
import { refusal } from '../fixtures/refusal.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'serving-spec-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => vi.unstubAllEnvs());

const SHAREGPT = path.join(import.meta.dirname, '../fixtures/sharegpt-small.json');
const MODEL_DIR = path.join(import.meta.dirname, '../../datasets/tokenizer');
const BASE = ['--backend', 'sglang-oai-chat', '--dataset-name', 'random'];
const BUGS = ['--bug-compatible', '--dataset-path', SHAREGPT];

const args = (words: readonly string[]) => parseServing([...BASE, ...words]);

function spec(words: readonly string[], model: string | null = 'm'): RunSpec {
  const parsed = args(words);
  return servingSpec(parsed, servingAccess(parsed), model);
}

const headers = (words: readonly string[]): Record<string, string> =>
  Object.fromEntries(servingAccess(args(words)).headers);

describe('the run that the flags ask for', () => {
  it('is one point: all at once, or as many as the cap lets', () => {
    const [point, ...rest] = spec([
      '--num-prompts',
      '40',
      '--random-input-len',
      '300',
      '--random-output-len',
      '7',
    ]).points;
    expect(rest).toEqual([]);
    expect(point).toMatchObject({
      concurrency: 40,
      isl: 300,
      osl: 7,
      requests: 40,
      durationMs: null,
      warmup: 1,
    });
    const capped = spec(['--num-prompts', '40', '--max-concurrency', '8', '--warmup-requests', '3'])
      .points[0];
    expect(capped).toMatchObject({ concurrency: 8, requests: 40, warmup: 3 });
  });

  it('counts the bare text, draws lengths as asked, and keeps seed and salt', () => {
    const { prompts } = spec(['--random-range-ratio', '0.5', '--seed', '9', '--salt', 'x']);
    expect(prompts).toMatchObject({ islCounts: 'content', rangeRatio: 0.5, seed: 9, salt: 'x' });
    expect(prompts.sglang).toBeUndefined();
  });

  it('takes first questions of a ShareGPT file, or of JSON lines', () => {
    const file = path.join(import.meta.dirname, '../../datasets/sharegpt-sample.json');
    const words = ['--dataset-path', file, '--num-prompts', '5', '--sharegpt-output-len', '20'];
    for (const name of ['sharegpt', 'custom']) {
      const made = spec(['--dataset-name', name, ...words, '--prompt-suffix', ' Be brief.']);
      expect(made).toMatchObject({ dataset: 'sharegpt', points: [{ lengths: 'dataset', requests: 5 }] });
      expect(made.prompts).toMatchObject({
        ...{ islCounts: 'content', rangeRatio: 1 },
        file: { path: file, order: 'shuffled', repeat: false, osl: 20, suffix: ' Be brief.' },
      });
    }
    expect(refusal(() => spec(['--dataset-name', 'sharegpt'])).message).toBe(
      '--dataset-path: sharegpt prompts come from a file, and none is named',
    );
    expect(refusal(() => spec(['--dataset-name', 'custom', '--dataset-path', '/no/such'])).message).toBe(
      '--dataset-path: there is no file /no/such',
    );
    const bugs = ['--dataset-name', 'sharegpt', ...words, '--bug-compatible'];
    expect(refusal(() => spec(bugs)).message).toContain('sharegpt ones in its own way');
  });

  it('shares prefixes as generated-shared-prefix says', () => {
    const words = ['--gsp-num-groups', '3', '--gsp-prompts-per-group', '4', '--gsp-question-len', '50'];
    const zipf = [
      '--gsp-group-distribution',
      'zipf',
      '--gsp-zipf-alpha',
      '1.2',
      '--gsp-system-prompt-len',
      '100',
    ];
    const made = spec(['--dataset-name', 'generated-shared-prefix', ...words, ...zipf]);
    expect(made).toMatchObject({
      dataset: 'prefix',
      points: [{ isl: 150, osl: 256, requests: 12, concurrency: 12 }],
      prompts: { prefix: { tokens: 100, groups: 3, zipf: 1.2 }, rangeRatio: 1 },
    });
  });

  it('asks in the default reading as bench does: kept connections, sampling sent, a failure is a verdict', () => {
    const plain = spec(['--temperature', '0.5', '--top-p', '0.9', '--extra-request-body', '{"top_k": 3}']);
    expect(plain).toMatchObject({
      endpoint: 'openai-chat',
      connectionPerRequest: false,
      extraBody: { temperature: 0.5, top_p: 0.9, top_k: 3 },
      maxFailureRatio: 0,
      naturalEnd: false,
      arrival: 'closed',
      dataset: 'random',
    });
    expect(spec(['--disable-ignore-eos']).naturalEnd).toBe(true);
    expect(spec(['--temperature', '0.5', '--extra-request-body', '{"temperature": 1}']).extraBody).toEqual({
      temperature: 1,
    });
  });

  it.each([
    ['2025-08', 0, false, {}],
    ['2025-11', 0, false, { ignore_eos: false }],
    ['2026-01', 0, false, { ignore_eos: false }],
    ['2026-06', 1, true, { ignore_eos: false }],
  ] as const)('asks as sglang of %s did with --bug-compatible', (layout, leastOsl, lessSpecialTokens, extraBody) => {
    const asked = spec([...BUGS, '--layout', layout, '--num-prompts', '5', '--disable-ignore-eos']);
    expect(asked).toMatchObject({
      endpoint: `sglang-chat-${layout}`,
      connectionPerRequest: true,
      dataset: 'sglang-random',
      maxFailureRatio: 1,
      extraBody,
    });
    expect(asked.prompts.sglang).toEqual({ path: SHAREGPT, count: 5, leastOsl, lessSpecialTokens });
  });

  it('draws arrivals for a finite rate with --bug-compatible alone', () => {
    expect(spec([...BUGS, '--request-rate', '4'])).toMatchObject({
      arrival: 'sglang-poisson',
      points: [{ ratePerS: 4 }],
    });
    expect(spec(['--request-rate', '4'])).toMatchObject({ arrival: 'poisson', points: [{ ratePerS: 4 }] });
    const ids = ['--bug-compatible', '--request-rate', '4', '--dataset-name', 'random-ids'];
    expect(() => spec(ids)).toThrow('random-ids');
  });

  it.each([
    [[]],
    [['--dataset-path', folder]],
    [['--dataset-path', path.join(folder, 'none')]],
  ])('needs a ShareGPT file with --bug-compatible: %j', (words) => {
    expect(() => spec(['--bug-compatible', ...words])).toThrow('--dataset-path');
  });
});

describe('how the server is reached', () => {
  it('is by base URL, or by host and port', () => {
    expect(spec([]).urls).toEqual(['http://0.0.0.0:30000']);
    expect(spec(['--host', '::1', '--port', '8000']).urls).toEqual(['http://[::1]:8000']);
    expect(spec(['--base-url', 'https://head:1/base', '--port', '8000']).urls).toEqual([
      'https://head:1/base',
    ]);
  });

  it('is with the key of OPENAI_API_KEY, else with API_KEY as it stands, and with the headers given', () => {
    vi.stubEnv('OPENAI_API_KEY', '');
    vi.stubEnv('API_KEY', 'Basic abc');
    expect(headers(['--header', 'X-A=1', 'X-B=2'])).toMatchObject({
      Authorization: 'Basic abc',
      'X-A': '1',
      'X-B': '2',
    });
    vi.stubEnv('OPENAI_API_KEY', 'k');
    expect(headers([])).toMatchObject({ Authorization: 'Bearer k' });
  });
});

describe('the tokenizer', () => {
  it('is --tokenizer, else a path in --model, else BENCH_TOKENIZER, else the embedded one', () => {
    vi.stubEnv('BENCH_TOKENIZER', '');
    const other = path.join(MODEL_DIR, 'tokenizer.json');
    expect(chooseTokenizer(args(['--model', 'served-name']))).toBe('embedded');
    vi.stubEnv('BENCH_TOKENIZER', folder);
    expect(chooseTokenizer(args(['--model', 'served-name']))).toBe(folder);
    expect(chooseTokenizer(args(['--model', MODEL_DIR]))).toBe(MODEL_DIR);
    expect(chooseTokenizer(args(['--model', MODEL_DIR, '--tokenizer', other]))).toBe(other);
    expect(chooseTokenizer(args(['--tokenizer', 'hf:a/b']))).toBe('hf:a/b');
  });

  it('is no folder that only has the name of the served model', () => {
    vi.stubEnv('BENCH_TOKENIZER', '');
    writeFileSync(path.join(folder, 'notes.txt'), 'x');
    expect(chooseTokenizer(args(['--model', folder]))).toBe('embedded');
  });

  it('is refused by the name of what named it when it is not there', () => {
    expect(() => chooseTokenizer(args(['--tokenizer', '/none']))).toThrow('--tokenizer: there is no /none');
    vi.stubEnv('BENCH_TOKENIZER', '/none');
    expect(() => chooseTokenizer(args([]))).toThrow('BENCH_TOKENIZER: there is no /none');
  });
});
