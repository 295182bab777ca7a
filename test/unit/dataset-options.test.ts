import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAskedShapes, parseDataset, refuseSilentRepeats } from '../../src/commands/dataset-options.ts';
import { DATASETS } from '../../src/datasets/index.ts';
import { refusal } from '../fixtures/refusal.ts';

type Args = Parameters<typeof parseDataset>[0];

const SAMPLES = path.join(import.meta.dirname, '../../datasets');
const sample = (name: string): string => path.join(SAMPLES, name);

function args(dataset: string, more: Record<string, unknown> = {}): Args {
  const given = { dataset, text: 'words', 'range-ratio': 1, 'dataset-repeat': false, ...more };
  return given as unknown as Args;
}

describe('the table of datasets in the README', () => {
  it('has all of them, and no other', () => {
    const readme = readFileSync(path.join(SAMPLES, '../README.md'), 'utf8');
    const [table] = readme.split('| `--dataset` |')[1]!.split('\n\n');
    expect([...table!.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name)).toEqual(
      DATASETS.map(({ name }) => name),
    );
  });
});

describe('the options of a dataset', () => {
  it('name its file by its whole path, with its sha256', () => {
    const relative = path.relative(process.cwd(), sample('prompts-sample.jsonl'));
    const { file } = parseDataset(
      args('jsonl', { 'dataset-path': relative, osl: 9, 'dataset-repeat': true }),
    );
    expect(file).toMatchObject({
      path: sample('prompts-sample.jsonl'),
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      ...{ order: 'file', repeat: true, osl: 9 },
    });
    const sharegpt = parseDataset(args('sharegpt', { 'dataset-path': sample('sharegpt-sample.json') }));
    expect(sharegpt.file).toMatchObject({ order: 'shuffled', repeat: false, osl: null, mostTokens: 2_048 });
  });

  it('say how large the blocks of a trace are', () => {
    const trace = { 'dataset-path': sample('trace-sample.jsonl') };
    expect(parseDataset(args('trace', trace)).file).not.toHaveProperty('blockTokens');
    expect(parseDataset(args('trace', { ...trace, 'trace-block': 400 })).file).toMatchObject({
      blockTokens: 400,
    });
    const small = refusal(() => parseDataset(args('trace', { ...trace, 'trace-block': 2_048 })));
    expect(small.message).toContain(
      'line 1: 3 hash_ids for an input_length of 1200, which has 1 blocks of 2048',
    );
  });

  it('say prefixes and how lengths scatter', () => {
    expect(parseDataset(args('prefix', { 'prefix-tokens': 50, 'isl-dist': 'normal:9' }))).toEqual({
      prefix: { tokens: 50, groups: 1, zipf: 0 },
      islSpread: { kind: 'normal', tokens: 9 },
    });
    expect(parseDataset(args('random'))).toEqual({});
  });

  it('need no shape where rows have lengths', () => {
    const trace = args('trace', { 'dataset-path': sample('trace-sample.jsonl') });
    expect(parseAskedShapes(trace)).toEqual([{ isl: 0, osl: 0, lengths: 'dataset' }]);
    expect(parseAskedShapes(args('prefix', { isl: 9, osl: 2 }))).toEqual([{ isl: 9, osl: 2 }]);
    expect(parseAskedShapes(args('random', { shape: '9x2,8x1' }))).toHaveLength(2);
  });

  it.each([
    ['random', { 'dataset-path': 'x' }, '--dataset-path: --dataset random has no use for it'],
    ['random', { 'prefix-tokens': 3 }, '--prefix-tokens: --dataset random has no use for it'],
    ['random', { 'isl-dist': 'gauss' }, '--isl-dist: "gauss" is no distribution'],
    ['random', { 'osl-dist': 'normal:5', 'range-ratio': 0.5 }, '--range-ratio and --osl-dist: both say'],
    ['random', { 'trace-block': 512 }, '--trace-block: --dataset random has no use for it'],
    [
      'jsonl',
      { 'dataset-path': 'x', 'trace-block': 512 },
      '--trace-block: --dataset jsonl has no use for it',
    ],
    [
      'trace',
      { 'dataset-path': sample('trace-sample.jsonl'), 'trace-block': 7 },
      '--trace-block: 7 is outside 8',
    ],
    ['prefix', {}, '--dataset prefix: the length of the prefix is missing'],
    ['prefix', { 'prefix-tokens': 0 }, '--prefix-tokens: 0 is no whole number from 1'],
    ['prefix', { 'prefix-tokens': 9, 'prefix-groups': 1.5 }, '--prefix-groups: 1.5 is no whole number'],
    ['prefix', { 'prefix-tokens': 9, 'prefix-zipf': -1 }, '--prefix-zipf: -1 is outside 0'],
    ['jsonl', {}, '--dataset jsonl: the file is missing'],
    ['jsonl', { 'dataset-path': '/no/such' }, '--dataset-path: cannot read /no/such'],
    ['jsonl', { 'dataset-path': SAMPLES }, `--dataset-path: cannot read ${SAMPLES}`],
    ['jsonl', { 'dataset-path': 'x', isl: 5 }, '--isl: --dataset jsonl has no use for it'],
    ['jsonl', { 'dataset-path': 'x', 'range-ratio': 0.5 }, '--range-ratio: the rows of --dataset jsonl'],
    ['jsonl', { 'dataset-path': 'x', text: 'corpus' }, '--text: the rows of --dataset jsonl have texts'],
    ['trace', { 'dataset-path': 'x', osl: 5 }, '--osl: --dataset trace has no use for it'],
    ['trace', { 'dataset-path': 'x', shape: '1x1' }, '--shape: --dataset trace has no use for it'],
    [
      'trace',
      { 'dataset-path': 'x', 'dataset-order': 'shuffled' },
      '--dataset-order: --dataset trace has no',
    ],
    ['jsonl', { 'dataset-path': sample('trace-sample.jsonl') }, 'line 1: it has no output length'],
    ['trace', { 'dataset-path': sample('prompts-sample.jsonl') }, 'line 1: timestamp (missing)'],
    ['sharegpt', { 'dataset-path': sample('README.md') }, 'README.md at line 1 ('],
  ])('of %s are refused as %j', (dataset, given, says) => {
    const error = refusal(() => parseDataset(args(dataset, given)));
    expect(error.message).toContain(says);
    expect(error.hint).toBeTruthy();
  });

  it('of a trace that only times the requests go with any dataset', () => {
    expect(parseDataset(args('random', { 'dataset-path': 'x', arrival: 'trace' }))).toEqual({});
  });

  it('do not let rows be sent again without a word', () => {
    const path = sample('prompts-sample.jsonl');
    const once = { file: parseDataset(args('jsonl', { 'dataset-path': path })).file! };
    const prompts = { ...({} as Parameters<typeof refuseSilentRepeats>[0]), ...once };
    expect(refusal(() => refuseSilentRepeats(prompts, '--duration')).message).toBe(
      `--dataset-path: --duration may send rows of ${path} more than once`,
    );
    refuseSilentRepeats(prompts, null);
    refuseSilentRepeats({ ...prompts, file: { ...once.file, repeat: true } }, '--duration');
  });
});
