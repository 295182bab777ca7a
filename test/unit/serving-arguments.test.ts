import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseServing, type ServingArgs } from '../../src/commands/serving/arguments.ts';
import { bareFlagTable, FLAGS, servingFlagNames } from '../../src/commands/serving/flags.ts';
import { servingHelp } from '../../src/commands/serving/help.ts';
import { EXPORTS } from '../../src/exporters/exports.ts';
import { refusal } from '../fixtures/refusal.ts';

const OK = ['--backend', 'sglang-oai-chat', '--dataset-name', 'random'];
const parse = (...words: string[]): ServingArgs => parseServing([...OK, ...words]);

describe('parseServing', () => {
  it('fills in the defaults of sglang', () => {
    expect(parse()).toEqual({
      backend: 'sglang-oai-chat',
      baseUrl: null,
      host: '0.0.0.0',
      port: 30_000,
      readyCheckTimeoutS: 60,
      model: null,
      servedModelName: null,
      headers: [],
      datasetName: 'random',
      datasetPath: null,
      tokenizer: null,
      numPrompts: 1000,
      sharegptOutputLen: null,
      sharegptContextLen: null,
      promptSuffix: '',
      sharedPrefix: { tokens: 2_048, groups: 64, zipf: 0, isl: 2_176, osl: 256, requests: 1_024 },
      randomInputLen: 1024,
      randomOutputLen: 1024,
      randomRangeRatio: 0,
      seed: 42,
      requestRate: Number.POSITIVE_INFINITY,
      maxConcurrency: null,
      warmupRequests: 1,
      flushCache: false,
      flushCacheTimeoutS: 60,
      disableIgnoreEos: false,
      extraRequestBody: null,
      temperature: null,
      topP: null,
      outputFile: null,
      outputDetails: false,
      goodput: null,
      cacheReport: false,
      plotThroughput: false,
      printRequests: false,
      disableTqdm: false,
      tag: null,
      layout: '2026-06',
      bugCompatible: false,
      out: null,
      exports: [],
      gpus: null,
      salt: null,
      given: new Set(['backend', 'dataset-name']),
      notes: [],
    });
  });

  it('takes a whole command line', () => {
    const text =
      '--host head --port 8000 --model r1 --tokenizer /m/r1 --num-prompt 256 --random-input 4000 --random-output 1000 ' +
      '--random-range-ratio 1 --max-concurrency 64 --warmup-requests 0 --output-file o.jsonl --output-details ' +
      '--goodput tpot:50 ttft:1e3 --temperature 0.6 --top-p 0.95 --header A=b=c D=e --seed 7 --tag x --disable-tqdm ' +
      '--disable-ignore-eos --flush-cache --flush-cache-timeout 5 --ready-check 0 --gpus 8 --served-model-name s';
    const args = parse(...text.split(' '), '--extra-request-body', '{"top_k": 1}');
    expect(args).toMatchObject({
      host: 'head',
      port: 8000,
      model: 'r1',
      servedModelName: 's',
      tokenizer: '/m/r1',
      numPrompts: 256,
      randomInputLen: 4000,
      randomOutputLen: 1000,
      randomRangeRatio: 1,
      maxConcurrency: 64,
      warmupRequests: 0,
      outputFile: 'o.jsonl',
      outputDetails: true,
      goodput: { tpot: 50, ttft: 1000 },
      temperature: 0.6,
      topP: 0.95,
      headers: ['A=b=c', 'D=e'],
      seed: 7,
      tag: 'x',
      disableTqdm: true,
      disableIgnoreEos: true,
      flushCache: true,
      flushCacheTimeoutS: 5,
      readyCheckTimeoutS: 0,
      gpus: 8,
      extraRequestBody: '{"top_k": 1}',
      notes: [],
    });
    expect(Object.keys(args.goodput!)).toEqual(['tpot', 'ttft']);
  });

  it.each([
    [[], '2026-06', 42],
    [['--bug-compatible'], '2026-01', 1],
    [['--layout', '2025-08'], '2025-08', 1],
    [['--layout', '2026-01'], '2026-01', 1],
    [['--bug-compatible', '--layout', '2026-06'], '2026-06', 42],
    [['--layout', '2025-08', '--seed', '42'], '2025-08', 42],
  ] as const)('%j has the layout %s and the seed %i', (words, layout, seed) => {
    expect(parse(...words)).toMatchObject({ layout, seed });
  });

  it('takes what sglang takes for nothing given as such', () => {
    const args = parse(
      '--max-concurrency',
      '0',
      '--base-url',
      '',
      '--dataset-path=',
      '--extra-request-body',
      '',
    );
    expect(args).toMatchObject({
      maxConcurrency: null,
      baseUrl: null,
      datasetPath: null,
      extraRequestBody: null,
    });
    expect(args.given).toContain('max-concurrency');
  });

  it.each(
    FLAGS.filter(({ standing }) => standing === 'refused'),
  )('refuses --$name by name, with the reason', (flag) => {
    const value = flag.choices?.[0] ?? '1';
    const error = refusal(() => parse(`--${flag.name}`, ...(flag.type === 'switch' ? [] : [value])));
    expect(error.message).toBe(`--${flag.name} is refused: ${flag.about}`);
    expect(error.hint).toMatch(/^leave it out/);
  });

  it('refuses all flags of one reason at once, also where their value is the default of sglang', () => {
    expect(refusal(() => parse('--profile-steps', '3', '--profile', '--gsp-num-turns', '1')).message).toBe(
      '--profile, --profile-steps are refused: a server that is profiled is not the server under test',
    );
    expect(refusal(() => parse('--gsp-num-turns', '1')).message).toContain('--gsp-num-turns is refused');
  });

  it.each([
    [[], "--backend: not given, and sglang's default sglang is refused: bench speaks OpenAI chat"],
    [['--backend', 'vllm'], '--backend: vllm is refused: bench speaks OpenAI chat'],
    [['--backend', 'sglang-embedding'], '--backend: sglang-embedding is refused: bench speaks OpenAI chat'],
    [[...OK, '--dataset-name', 'mmmu'], '--dataset-name: mmmu is refused: bench has no mmmu dataset yet'],
  ])('refuses the choice of %j', (argv, message) => {
    const error = refusal(() => parseServing(argv));
    expect(error.message).toBe(message);
    expect(error.hint).toMatch(/^write --(backend sglang-oai-chat|dataset-name random) /);
  });

  it.each([
    'vllm-chat',
    'lmdeploy-chat',
  ])('takes the backend %s, at the port that sglang falls back to', (backend) => {
    expect(parseServing(['--backend', backend, '--dataset-name', 'random-ids'])).toMatchObject({
      backend,
      port: 30_000,
    });
  });

  it.each([
    ['--num-prompts', '0'],
    ['--num-prompts', '-5'],
    ['--num-prompts', '99999999999999999999'],
    ['--warmup-requests', '-1'],
    ['--random-input-len', '0'],
    ['--random-output-len', '0'],
    ['--random-range-ratio', '1.01'],
    ['--random-range-ratio', '-0.1'],
    ['--random-range-ratio', 'nan'],
    ['--max-concurrency', '-1'],
    ['--request-rate', '0'],
    ['--request-rate', 'nan'],
    ['--port', '0'],
    ['--port', '65536'],
    ['--temperature', '-0.1'],
    ['--temperature', 'inf'],
    ['--top-p', '0'],
    ['--top-p', '1.1'],
    ['--ready-check-timeout-sec', '-1'],
    ['--seed', '-1'],
    ['--seed', '4294967296'],
    ['--flush-cache-timeout', 'inf'],
    ['--gpus', '0'],
    ['--extra-request-body', '[1]'],
    ['--extra-request-body', '{a'],
    ['--host', ''],
    ['--host', 'http://head'],
    ['--base-url', 'ftp://head'],
    ['--base-url', 'http://'],
    ['--model', ''],
    ['--tokenizer', ''],
    ['--out', ''],
    ['--export', ''],
  ])('refuses %s %s', (flag, value) => {
    expect(refusal(() => parse(flag, value)).message).toMatch(new RegExp(`^${flag}: `));
  });

  it('takes the edges of what it refuses beyond', () => {
    for (const words of [
      ['--num-prompts', '1', '--warmup-requests', '0', '--random-input-len', '1', '--random-output-len', '1'],
      [
        '--random-range-ratio',
        '0',
        '--temperature',
        '0',
        '--top-p',
        '1',
        '--port',
        '65535',
        '--seed',
        '4294967295',
      ],
      ['--request-rate', 'inf', '--ready-check-timeout-sec', '0', '--gpus', '1', '--host', '::1'],
    ])
      expect(parse(...words).notes).toEqual([]);
    expect(parse('--request-rate', '2.5', '--bug-compatible').requestRate).toBe(2.5);
  });

  it.each([
    ['--header', 'A=b', 'SECRET'],
    ['--header', '=SECRET'],
    ['--header', 'A B=SECRET'],
    ['--header', 'Authorization: SECRET'],
    ['--header', 'Authorization=SECRET', '--headers=SECRET'],
    ['--he=Authorization=SECRET'],
    ['--api-key', 'SECRET'],
    ['--flush-cache=SECRET'],
    ['--extra-request-body', 'SECRET'],
    ['--base-url', 'http://user:SECRET@head'],
  ])('refuses %s %s without showing what may be secret', (...words) => {
    const error = refusal(() => parse(...words));
    expect(`${error.message} ${error.hint}`).not.toContain('SECRET');
  });

  it('refuses a header without a value, which sglang would drop', () => {
    expect(refusal(() => parse('--header', 'A=b', 'X=')).message).toBe(
      '--header: number 2 of 2 has no K=V form',
    );
  });

  it.each(
    FLAGS.filter(({ standing }) => standing === 'noted'),
  )('notes --$name when given, and only then', (flag) => {
    const words = flag.type === 'switch' ? [`--${flag.name}`] : [`--${flag.name}`, '1'];
    expect(parse(...words).notes).toEqual([`--${flag.name} has no effect here: ${flag.about}`]);
  });

  it.each([
    [['--gsp-range-ratio', '0.5'], '--gsp-range-ratio: 0.5 is refused'],
    [['--gsp-zipf-alpha', '1.1'], '--gsp-zipf-alpha: 1.1 goes with --gsp-group-distribution zipf alone'],
    [['--gsp-group-distribution', 'zipf'], '--gsp-group-distribution: zipf needs its exponent'],
    [['--gsp-num-groups', '0'], '--gsp-num-groups: 0 is no whole number from 1'],
    [['--sharegpt-output-len', '3'], '--sharegpt-output-len: 3 is no whole number from 4'],
  ])('refuses %j', (words, says) => {
    expect(refusal(() => parse(...words)).message).toContain(says);
  });

  it('tells of flags that the dataset does not read', () => {
    const words = ['--sharegpt-output-len', '5', '--gsp-num-groups', '2'];
    expect(parse(...words).notes).toEqual([
      '--sharegpt-output-len has no effect here: only sharegpt and custom prompts use it',
      '--gsp-num-groups has no effect here: only generated-shared-prefix prompts use it',
    ]);
    const gsp = [
      '--dataset-name',
      'generated-shared-prefix',
      '--num-prompts',
      '5',
      '--random-input-len',
      '9',
    ];
    expect(parse(...gsp, '--gsp-num-groups', '2').notes).toEqual([
      '--num-prompts has no effect here: --gsp-num-groups × --gsp-prompts-per-group requests are sent',
      '--random-input-len has no effect here: generated-shared-prefix prompts have lengths of their own',
    ]);
  });

  it('keeps the sharegpt length, which the line repeats', () => {
    expect(parse('--sharegpt-output-len', '5').sharegptOutputLen).toBe(5);
  });

  it('notes what depends on the mode', () => {
    const named = (...words: string[]) => parse(...words).notes.map((note) => note.split(' ', 1)[0]);
    const file = ['--dataset-path', 'f.json'];
    expect(named(...file)).toEqual(['--dataset-path']);
    expect(named(...file, '--bug-compatible')).toEqual([]);
    expect(named(...file, '--bug-compatible', '--dataset-name', 'random-ids')).toEqual(['--dataset-path']);
    expect(named('--dataset-name', 'random-ids')).toEqual(['--dataset-name']);
    const sampling = ['--temperature', '0.5', '--top-p', '0.9', '--salt', 's', '--disable-ignore-eos'];
    expect(named(...sampling)).toEqual([]);
    expect(named(...sampling, '--bug-compatible')).toEqual(['--temperature', '--top-p', '--salt']);
    expect(named(...sampling, '--bug-compatible', '--layout', '2025-08').at(-1)).toBe('--disable-ignore-eos');
  });
});

describe('the help', () => {
  const help = servingHelp();

  it('names each flag, in lines of at most 100 columns', () => {
    expect(help.startsWith('usage: bench serving ')).toBe(true);
    expect(help.endsWith('\n')).toBe(true);
    for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    for (const { name } of FLAGS) expect(help).toMatch(new RegExp(`--${name}(?![\\w-])`));
  });

  it('names the forms that a run can be exported in', () => {
    const flat = help.replaceAll(/\s+/g, ' ');
    for (const { name } of EXPORTS) expect(flat).toMatch(new RegExp(`--export NAME [^\\[]*\\b${name}\\b`));
  });

  it('offers to complete what is not refused', () => {
    const names = servingFlagNames();
    expect(names).toContain('num-prompts');
    expect(names).toContain('bug-compatible');
    expect(names).not.toContain('profile');
    expect(names.every((name) => /^[a-z][a-z-]*$/.test(name))).toBe(true);
  });
});

describe('the table in the README', () => {
  it('has each flag once, by its name or its family', () => {
    const cells = bareFlagTable()
      .split('\n')
      .slice(2)
      .flatMap((row) => [...row.split('|')[1]!.matchAll(/`--([^`]+)`/g)]);
    for (const { name } of FLAGS) {
      const family = `${name.split('-', 1)[0]}-*`;
      expect(
        cells.filter(([, cell]) => cell === name || (name.includes('-') && cell === family)).length,
        name,
      ).toBe(1);
    }
  });

  it('is the one that the flags make', () => {
    const readme = readFileSync(path.join(import.meta.dirname, '../../README.md'), 'utf8');
    const [, rest = ''] = readme.split('<!-- serving flags -->');
    expect(rest.split('<!-- /serving flags -->')[0]!.trim()).toBe(bareFlagTable());
  });
});
