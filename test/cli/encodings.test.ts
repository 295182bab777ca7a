import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { makeFolder, newOut, readRun, startStub } from '../fixtures/cli.ts';
import { sglangLine } from '../fixtures/foreign.ts';
import { benchHere } from '../fixtures/in-process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MARK = '\ufeff';

function fileOf(name: string, content: string | Uint8Array): string {
  const file = path.join(makeFolder(), name);
  writeFileSync(file, content);
  return file;
}

const turns = (number: number): string =>
  `{"conversations": [{"from": "human", "value": "Why is the sky blue at noon? Number ${number}."}, {"from": "gpt", "value": "It is so because light is scattered."}]}`;
const prompt = '{"prompt":"Où est la bibliothèque de la ville ?","osl":6}';

describe('a byte-order mark', () => {
  const url = startStub({ models: ['m'] });
  const run = async (words: readonly string[]): Promise<ReturnType<typeof readRun>> => {
    const out = newOut();
    const load = ['--url', await url, '--requests', '2', '--warmup', '0', '--quiet', '--out', out];
    const ended = await benchHere(['run', ...load, ...words]);
    expect(ended.code, ended.stderr).toBe(0);
    return readRun(out);
  };

  it.each([
    ['jsonl', `${MARK}${prompt}\n${prompt}\n`],
    ['sharegpt', `${MARK}[${turns(1)}, ${turns(2)}]`],
    ['sharegpt', `${MARK}${turns(1)}\n${turns(2)}\n`],
    ['trace', `${MARK}${'{"timestamp": 0, "input_length": 60, "output_length": 6}\n'.repeat(2)}`],
  ])('at the start of a dataset is passed over: %s', async (dataset, text) => {
    const { records } = await run(['--dataset', dataset, '--dataset-path', fileOf('d', text)]);
    expect(records.map(({ outcome }) => outcome)).toEqual(['good', 'good']);
  });

  it('at the start of a tokenizer’s files is passed over', async () => {
    const folder = makeFolder();
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      const text = readFileSync(path.join(ROOT, 'datasets/tokenizer', name), 'utf8');
      writeFileSync(path.join(folder, name), MARK + text);
    }
    const { report } = await run(['--isl', '40', '--osl', '4', '--tokenizer', folder]);
    expect(report.prompts.template.source).toBe('tokenizer_config.json');
  });

  it('at the start of conversations of bench serving is passed over', async () => {
    const file = fileOf('c.jsonl', `${MARK}${turns(1)}\n${turns(2)}\n`);
    const words = ['--backend', 'sglang-oai-chat', '--dataset-name', 'custom', '--dataset-path', file];
    const target = ['--base-url', await url, '--model', 'm', '--num-prompts', '2', '--warmup-requests', '0'];
    const ended = await benchHere(['serving', ...words, ...target, '--output-file', newOut()], {
      cwd: makeFolder(),
    });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stdout).toMatch(/Successful requests: +2/);
  });

  it('at the start of results, policies, baselines and stacks is passed over', async () => {
    const folder = makeFolder();
    cpSync(path.join(ROOT, 'results/sample'), path.join(folder, 'run'), { recursive: true });
    const report = path.join(folder, 'run', 'report.json');
    writeFileSync(report, MARK + readFileSync(report, 'utf8'));
    const shown = await benchHere(['report', path.join(folder, 'run')]);
    expect([shown.code, shown.stderr]).toEqual([0, '']);
    expect(await benchHere(['report', report])).toMatchObject({ code: 0, stdout: shown.stdout });
    const other = path.join(folder, 'other.json');
    writeFileSync(
      other,
      MARK +
        readFileSync(path.join(ROOT, 'results/sample/report.json'), 'utf8').replace(
          '2026-11-23T',
          '2026-11-22T',
        ),
    );
    const compared = await benchHere(['compare', report, other]);
    expect(compared.code, compared.stderr).toBe(0);
    const foreign = await benchHere(['report', fileOf('sglang.jsonl', MARK + sglangLine('2026-06'))]);
    expect(foreign.code, foreign.stderr).toBe(0);
    const stack = readFileSync(path.join(ROOT, 'datasets/stacks/mocker-local.yaml'), 'utf8');
    const planned = await benchHere(['stack', 'plan', fileOf('stack.yaml', MARK + stack)], {
      env: { BENCH_MOCKER_MODEL: '/m' },
    });
    expect(planned.code, planned.stderr).toBe(0);
    const policy = fileOf('gate.yaml', `${MARK}metrics: {ttftMs.p50: {max_increase: 10%}}\n`);
    const gate = await benchHere(['gate', report, '--baseline', other, '--policy', policy]);
    expect(gate.stderr).toBe('');
    expect(gate.stdout).toContain('ttftMs.p50');
  });
});

describe('a file that is not UTF-8', () => {
  const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
  const utf16 = (text: string): Buffer => Buffer.from(MARK + text, 'utf16le');

  it.each<readonly [string, string, (file: string) => readonly string[]]>([
    ['prompts', `${prompt}\n`, (file) => ['run', '--dataset', 'jsonl', '--dataset-path', file]],
    [
      'a trace for its timestamps alone',
      '{"timestamp": 0, "input_length": 60, "output_length": 6, "note": "é"}\n',
      (file) => ['run', '--arrival', 'trace', '--dataset-path', file, '--isl', '9', '--osl', '2'],
    ],
    [
      'conversations of bench serving',
      turns(1).replace('Why', 'Où'),
      (file) => [
        ...['serving', '--backend', 'sglang-oai-chat', '--model', 'm', '--base-url', 'http://127.0.0.1:1'],
        ...['--dataset-name', 'sharegpt', '--dataset-path', file],
      ],
    ],
    ['a report', '{"levels": [], "name": "é"}', (file) => ['report', file]],
    ['a result of another tool', sglangLine('2026-06').replace('{', '{"é": 1, '), (file) => ['report', file]],
    ['a run to compare', '{"levels": [], "name": "é"}', (file) => ['compare', file, file]],
    [
      'a baseline',
      '{"kind": "bench baseline", "é": 1}',
      (file) => ['gate', path.join(ROOT, 'results/sample'), '--baseline', file],
    ],
    [
      'a policy',
      'metrics: {ttftMs.p50: {max_increase: 10%}} # é\n',
      (file) => {
        const sample = path.join(ROOT, 'results/sample');
        return ['gate', sample, '--baseline', path.join(sample, 'report.json'), '--policy', file];
      },
    ],
    ['a stack', 'schema: 1\nname: é\n', (file) => ['stack', 'plan', file]],
    [
      'the log of a server',
      '{"schema": "é"}\n',
      (file) => ['conformance', '--truth', file, '--result', path.join(ROOT, 'results/sample')],
    ],
  ])('is refused with its place before anything is sent: %s', async (_what, text, words) => {
    const file = fileOf('f', latin1(text));
    const ended = await benchHere(words(file));
    expect(ended.code, ended.stderr).toBe(2);
    expect(ended.stderr).toMatch(/bench: \S+\/f, line \d+, byte \d+: 0x(E9|F9) is not UTF-8\n/);
    expect(ended.stderr).toContain(file);
    const wide = await benchHere(words(fileOf('f', utf16(text))));
    expect(wide.code, wide.stderr).toBe(2);
    expect(wide.stderr).toContain('/f, line 1, byte 1: the file is UTF-16LE, not UTF-8\n');
    expect(wide.stderr).not.toContain('\0');
  });

  it('is so as one of a tokenizer', async () => {
    const folder = makeFolder();
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, 'tokenizer.json'), latin1('{"é": 1}'));
    const ended = await benchHere(['prompts', '--isl', '9', '--count', '1', '--tokenizer', folder]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('tokenizer.json, line 1, byte 3: 0xE9 is not UTF-8');
  });
});
