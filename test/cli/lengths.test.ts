import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Ended,
  makeFolder,
  newOut,
  onlyLevel,
  type Run,
  readRun,
  startServer,
  startStub,
} from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

const FAST = '--ttft 5ms --step 2ms';

interface PromptLine {
  readonly prompt: string;
  readonly isl: number;
  readonly osl: number;
  readonly promptTokens: number | null;
}

async function run(flags: string, args: readonly string[]): Promise<{ ended: Ended; run: Run }> {
  const out = newOut();
  const words = ['run', '--mock', '--mock-flags', `${FAST} ${flags}`, '--warmup', '1', '--out', out];
  const ended = await benchHere([...words, ...args]);
  return { ended, run: readRun(out) };
}

async function prompts(args: readonly string[]): Promise<PromptLine[]> {
  const ended = await benchHere(['prompts', ...args]);
  expect(ended.code).toBe(0);
  // What the lengths count is told once, where it is more than the text.
  const bare = args.includes('content');
  expect(ended.stderr).toMatch(
    bare ? /^$/ : /^note: isl and promptTokens count .*chat template.* too, [^\n]*\n$/,
  );
  return ended.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as PromptLine);
}

describe('chunks of several tokens', () => {
  it('share their gap: token ITL is a third of ITL', async () => {
    const shape = ['--isl', '60', '--osl', '31', '--requests', '8', '--concurrency', '2'];
    const out = newOut();
    const flags = '--ttft 30ms --step 12ms --tokens-per-chunk 3';
    const ended = await benchHere(['run', '--mock', '--mock-flags', flags, ...shape, '--out', out]);
    expect(ended.code).toBe(0);
    const level = onlyLevel(readRun(out));
    expect(level.itlMs.count).toBe(8 * 10);
    expect(level.tokenItlMs.count).toBe(8 * 28);
    expect(Math.abs(level.itlMs.p50! - 12)).toBeLessThan(1);
    expect(Math.abs(level.tokenItlMs.p50! - 4)).toBeLessThan(0.5);
    // 10 gaps of 12 ms for the 30 tokens after the first.
    expect(Math.abs(level.tpotMs.p50! - 4)).toBeLessThan(0.5);
    expect(level.tokensPerChunk.mean).toBeCloseTo(31 / 11, 9);
    expect(level.chunkTokensBy).toEqual({ 'continuous-usage': 8 });
    expect(ended.stdout).toContain('token ITL');
  });

  it('are counted by the tokenizer where the server counts nothing', async () => {
    const shape = ['--isl', '60', '--osl', '12', '--requests', '4', '--concurrency', '2'];
    const { ended, run: result } = await run('--no-usage --tokens-per-chunk 3', shape);
    expect(ended.code).toBe(0);
    const level = onlyLevel(result);
    expect(level.requests.good).toBe(4);
    expect(level.chunkTokensBy).toEqual({ tokenizer: 4 });
    expect(level.outputTokens).toBe(48);
    expect(level.tokensPerChunk.mean).toBeCloseTo(3, 9);
    expect(level.oslProof).toMatchObject({ provenByUsage: 0, deviations: 0, unknown: 0 });
    expect(level.islProof.provenByUsage).toBe(0);
    expect(level.witness?.reason).toContain('no usage');
    for (const record of result.records) expect(record.osl.by).toBe('tokenizer');
  });
});

describe('a server that refuses fields', () => {
  it('is asked without them, and a warning says so', async () => {
    const shape = ['--isl', '60', '--osl', '8', '--requests', '3'];
    const { ended, run: result } = await run('--refuse ignore_eos,min_tokens', shape);
    expect(ended.code).toBe(0);
    expect([...result.report.target.refusedFields].sort()).toEqual(['ignore_eos', 'min_tokens']);
    expect(result.report.warnings.join('\n')).toMatch(/refused ignore_eos.*min_tokens/);
    expect(ended.stderr).toContain('refused ignore_eos');
    expect(ended.stdout).toContain('refused ignore_eos');
    expect(onlyLevel(result).requests).toMatchObject({ sent: 3, good: 3 });
  });

  it('with 400 for what it does not know gets only what it knows', async () => {
    const shape = ['--isl', '60', '--osl', '8', '--requests', '3'];
    const { ended, run: result } = await run('--refuse-unknown --refuse continuous_usage_stats', shape);
    expect(ended.code).toBe(0);
    expect(result.report.target.refusedFields).toEqual(['continuous_usage_stats']);
    expect(onlyLevel(result).chunkTokensBy).toEqual({ 'one-per-chunk': 3 });
    const told = await run('--refuse-unknown', [
      ...shape,
      '--extra-body',
      '{"top_p": 0.9, "no_such": 1}',
    ]).catch(() => null);
    expect(told).toBeNull();
  });
});

describe('outputs that end early', () => {
  let short: { ended: Ended; run: Run };
  beforeAll(async () => {
    const shape = ['--isl', '60', '--osl', '40', '--requests', '12', '--concurrency', '4'];
    short = await run('--refuse ignore_eos,min_tokens --eos-mean 10', [...shape, '--require-exact']);
  });

  it('are good, counted, and shown as deviations', () => {
    const level = onlyLevel(short.run);
    expect(level.requests).toMatchObject({ sent: 12, good: 12, failed: 0 });
    const counted = short.run.records
      .filter(({ phase }) => phase === 'measured')
      .map(({ osl }) => osl.counted!);
    const off = counted.filter((tokens) => tokens !== 40).length;
    expect(off).toBeGreaterThan(5);
    expect(level.oslProof).toMatchObject({ asked: 40, deviations: off, provenByUsage: 12 });
    expect(level.oslProof.counted).toMatchObject({ min: Math.min(...counted), max: Math.max(...counted) });
    expect(level.outputTokens).toBe(counted.reduce((a, b) => a + b, 0));
    expect(level.islProof.deviations).toBe(0);
    expect(short.ended.stdout).toContain(`DEVIATION at concurrency 4: ${off} of 12 outputs`);
  });

  it('are exit 1 with --require-exact alone', async () => {
    expect(short.ended.code).toBe(1);
    const shape = ['--isl', '60', '--osl', '40', '--requests', '4'];
    const lax = await run('--refuse ignore_eos,min_tokens --eos-mean 10', shape);
    expect(lax.ended.code).toBe(0);
  });
});

describe('the length of prompts', () => {
  it.each([
    ['prompt', 'words', 100, 100],
    ['content', 'words', 100, null],
    ['prompt', 'corpus', 333, 333],
  ] as const)('counted as %s, of %s, is what the server counts', async (counts, text, isl, proven) => {
    const shape = ['--isl', String(isl), '--osl', '2', '--requests', '5', '--text', text];
    const { ended, run: result } = await run('', [...shape, '--isl-counts', counts, '--require-exact']);
    expect(ended.code).toBe(0);
    const level = onlyLevel(result);
    expect(level.islProof).toMatchObject({ asked: isl, provenByUsage: 5, deviations: 0, unknown: 0 });
    const share = result.report.prompts.template.tokens!;
    expect(share).toBeGreaterThan(0);
    for (const record of result.records) {
      expect(record.isl.counted).toBe(isl);
      expect(record.promptTokens).toBe(proven ?? isl + share);
    }
    expect(result.report.prompts.text).toBe(text);
  });

  it('varies between ratio times L and L, each as asked', async () => {
    const shape = ['--isl', '200', '--osl', '20', '--requests', '30', '--concurrency', '8'];
    const { ended, run: result } = await run('', [...shape, '--range-ratio', '0.5', '--require-exact']);
    expect(ended.code).toBe(0);
    const level = onlyLevel(result);
    expect(level.islProof).toMatchObject({ asked: null, deviations: 0, unknown: 0 });
    const measured = result.records.filter(({ phase }) => phase === 'measured');
    for (const { isl, osl } of measured) {
      expect(isl.counted).toBe(isl.asked);
      expect(osl.counted).toBe(osl.asked);
      expect(isl.asked).toBeGreaterThanOrEqual(100);
      expect(isl.asked).toBeLessThanOrEqual(200);
      expect(osl.asked).toBeGreaterThanOrEqual(10);
      expect(osl.asked).toBeLessThanOrEqual(20);
    }
    expect(new Set(measured.map(({ isl }) => isl.asked)).size).toBeGreaterThan(10);
  });
});

describe('seed and salt', () => {
  it('make the same prompts again, and another salt other ones', async () => {
    const ask = ['--isl', '150', '--osl', '3', '--count', '3'];
    const one = await prompts([...ask, '--seed', '7', '--salt', 'x']);
    expect(one).toHaveLength(3);
    expect(new Set(one.map(({ prompt }) => prompt)).size).toBe(3);
    for (const line of one) expect(line).toMatchObject({ isl: 150, osl: 3, promptTokens: 150 });
    expect(await prompts([...ask, '--seed', '7', '--salt', 'x'])).toEqual(one);
    const salted = await prompts([...ask, '--seed', '7', '--salt', 'y']);
    const seeded = await prompts([...ask, '--seed', '8', '--salt', 'x']);
    const fresh = await prompts([...ask, '--seed', '7']);
    for (const other of [salted, seeded, fresh]) {
      for (const { prompt } of other) {
        for (const { prompt: mine } of one) expect(prompt.slice(0, 20)).not.toBe(mine.slice(0, 20));
      }
    }
    const file = path.join(makeFolder(), 'prompts.jsonl');
    const ended = await benchHere(['prompts', ...ask, '--seed', '7', '--salt', 'x', '--out', file]);
    expect(ended).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('chat template') });
    expect(
      readFileSync(file, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(one);
  });

  it('are what a run sends: bench prompts shows the very text', async () => {
    const sent: string[] = [];
    const url = await startStub({
      models: ['m'],
      ownedBy: 'bench-mock',
      seen: (body) => {
        if (body['max_tokens'] === 3) sent.push((body['messages'] as { content: string }[])[0]!.content);
      },
    });
    const ask = ['--isl', '50', '--osl', '3', '--seed', '7', '--salt', 'x', '--isl-counts', 'content'];
    await benchHere(['run', '--url', url, ...ask, '--requests', '4', '--warmup', '0', '--out', newOut()]);
    const shown = await prompts([...ask, '--count', '4']);
    expect(sent).toEqual(shown.map(({ prompt }) => prompt));
  });

  it('decide whether the cache of the server knows the prompts', async () => {
    const server = await startServer(FAST);
    const measure = async (salt: readonly string[]) => {
      const out = newOut();
      const shape = ['--isl', '300', '--osl', '2', '--requests', '4', '--warmup', '0', ...salt];
      const ended = await benchHere(['run', '--url', server.url, ...shape, '--out', out]);
      expect(ended.code).toBe(0);
      return { ended, level: onlyLevel(readRun(out)) };
    };
    expect((await measure(['--salt', 'a'])).level.cachedTokens).toBe(0);
    const again = await measure(['--salt', 'a']);
    expect(again.level.cachedTokens).toBeGreaterThan(0.8 * 1_200);
    expect(again.ended.stdout).toMatch(/WARNING: .* prompt tokens .* came from the server's cache/);
    expect((await measure(['--salt', 'b'])).level.cachedTokens).toBe(0);
    expect((await measure([])).level.cachedTokens).toBe(0);
  });
});
