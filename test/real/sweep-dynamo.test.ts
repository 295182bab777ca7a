import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RequestRecord, recordFromJson } from '../../src/core/record.ts';
import type { LevelReport, Report } from '../../src/core/report.ts';
import { DEEPSEEK_DIR, type DynamoStack, dynamoMissing, startDynamo } from './dynamo.ts';
import { notRun } from './not-run.ts';

const main = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../dist/main.js');
const ISL = 4_000;
const OSL = 1_000;
const LEVELS = [1, 2, 4, 8];
const PER_LEVEL = 4;

/** Of the simulated workers' caches. */
const BLOCK_TOKENS = 64;

/** The request that is streamed once before a run; its record is not among the run's. */
const CANARY = { text: 'Tell me a story as if we were playing dungeons and dragons.', tokens: 30 };
/** Requests with one output token each, by which the server's chat template is measured. */
const CALIBRATION_PROBES = 2;

const CHROMIUM = process.env['BENCH_CHROMIUM'] ?? '/usr/bin/chromium';
const noBrowser = notRun(
  'the page of a real run in a browser',
  existsSync(CHROMIUM) ? null : `no Chromium at ${CHROMIUM} (apt-get install chromium, or BENCH_CHROMIUM)`,
);
const missing = notRun('sweeps against a real Dynamo', dynamoMissing());

/** What the frontend says that it has served so far. */
interface Served {
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

describe.skipIf(missing !== null)('bench sweep against a real Dynamo', () => {
  let work: string;
  let stack: DynamoStack;

  beforeAll(async () => {
    if (!existsSync(main)) throw new Error(`no ${main}: run npm run build first`);
    work = mkdtempSync(path.join(tmpdir(), 'bench-dynamo-'));
    stack = await startDynamo({ workDir: work, kvRouter: true });
  });

  afterAll(async () => {
    await stack?.stop();
    if (work) rmSync(work, { recursive: true, force: true });
  });

  it('asks for exactly ISL and OSL with the model’s tokenizer, and the server counted the same', async () => {
    const canaryPromptTokens = await promptTokensOf(stack, CANARY.text);
    const before = await served(stack);
    const out = path.join(work, 'tokenizer');
    const run = await sweep(stack, out, ['--tokenizer', DEEPSEEK_DIR]);
    expect(run.code, run.output).toBe(0);

    const { report, records } = readRun(out);
    expectExact(report, records);
    expect(report.prompts.template.by).toBe('computed');
    const delta = subtract(await settled(stack, before.requests + records.length + 1), before);
    expect(delta).toEqual({
      requests: records.length + 1,
      inputTokens: total(records, (record) => record.isl.counted!) + canaryPromptTokens,
      outputTokens: total(records, (record) => record.osl.counted!) + CANARY.tokens,
    });
  });

  it.skipIf(noBrowser !== null)('makes a page of it that opens without a word or a request', async () => {
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    try {
      const page = await browser.newPage({ viewport: { width: 1_280, height: 900 } });
      const complaints: string[] = [];
      page.on('console', (message) => complaints.push(`console: ${message.text()}`));
      page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
      page.on('request', (request) => {
        if (!/^(file:|data:)/.test(request.url())) complaints.push(`request: ${request.url()}`);
      });
      await page.goto(pathToFileURL(path.join(work, 'tokenizer', 'report.html')).href);
      const text = await page.locator('body').innerText();
      expect(complaints).toEqual([]);
      expect(text).toContain('dynamo');
      expect(text).toContain("The server's side");
      expect(await page.locator('figure svg').count()).toBeGreaterThan(10);
    } finally {
      await browser.close();
    }
  });

  it('is as exact without a tokenizer: the server calibrates the prompts', async () => {
    const before = await served(stack);
    const out = path.join(work, 'calibrated');
    const metrics = [`${stack.url}/metrics`, ...stack.workerMetrics];
    const flags = metrics.flatMap((url) => ['--server-metrics', url]);
    const run = await sweep(stack, out, flags);
    expect(run.code, run.output).toBe(0);

    const { report, records } = readRun(out);
    expectExact(report, records);
    for (const level of report.levels) expectServerSide(level);
    expect(report.prompts.template.by).toBe('calibrated');
    const others = 1 + CALIBRATION_PROBES;
    const delta = subtract(await settled(stack, before.requests + records.length + others), before);
    expect(delta.requests).toBe(records.length + others);
    expect(delta.outputTokens).toBe(
      total(records, (record) => record.osl.counted!) + CANARY.tokens + CALIBRATION_PROBES,
    );
  });

  describe('with each dataset', () => {
    const samples = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../datasets');
    const rowsOf = (name: string, file: string): string[] => [
      ...['--dataset', name, '--dataset-path', path.join(samples, file)],
    ];

    async function measured(name: string, flags: readonly string[]): Promise<RequestRecord[]> {
      const out = path.join(work, name);
      const words = ['--tokenizer', DEEPSEEK_DIR, '--warmup', '0', '--require-exact', '--out', out];
      const run = await bench(['run', '--url', stack.url, ...flags, ...words]);
      expect(run.code, run.output).toBe(0);
      const { report, records } = readRun(out);
      expect(report.levels[0]).toMatchObject({
        islProof: { deviations: 0, unknown: 0, provenByUsage: records.length },
        oslProof: { deviations: 0, unknown: 0, provenByUsage: records.length },
      });
      for (const { isl, osl } of records)
        expect([isl.counted, osl.counted, isl.by]).toEqual([isl.asked, osl.asked, 'usage']);
      return [...records].sort((a, b) => a.id - b.id);
    }
    /**
     * What the router found in the caches of the workers that it chose, in shares of each request's blocks, summed up:
     * once for the prefill worker and once for the decode worker, which hold the same.
     */
    async function hits(run: () => Promise<unknown>): Promise<number> {
      const sum = async (): Promise<number> =>
        total(
          (await stack.prometheus())
            .split('\n')
            .filter((line) => line.startsWith('dynamo_component_router_kv_hit_rate_sum{')),
          (line) => Number(line.split('} ')[1]),
        );
      const before = await sum();
      await run();
      return ((await sum()) - before) / 2;
    }
    // The router hears of what workers have cached a moment after they have it.
    const spaced = ['--arrival', 'constant', '--rate', '5', '--requests'];
    const blocks = (tokens: number): number => Math.ceil(tokens / BLOCK_TOKENS);

    it('finds nothing in the caches of random prompts', async () => {
      const shape = ['--isl', '1000', '--isl-dist', 'normal:100', '--osl', '10', '--osl-dist', 'uniform:4'];
      const found = await hits(async () => {
        const records = await measured('random', [...shape, ...spaced, '12']);
        expect(new Set(records.map(({ isl }) => isl.asked)).size).toBeGreaterThan(6);
      });
      expect(found).toBe(0);
    });

    it('finds the prefix of a group in the caches, whole blocks of it', async () => {
      const shape = ['--dataset', 'prefix', '--prefix-tokens', '640', '--prefix-groups', '2'];
      const found = await hits(() =>
        measured('prefix', [...shape, '--isl', '1000', '--osl', '8', ...spaced, '12']),
      );
      // All but the first of each group; two tokens of the template stand before the ten blocks of the prefix.
      expect(found).toBeCloseTo(10 * (10 / blocks(1_000)), 6);
    });

    it('finds the blocks that rows of a trace share in the caches', async () => {
      const trace = rowsOf('trace', 'trace-sample.jsonl');
      const found = await hits(async () => {
        const records = await measured('trace', [...trace, '--arrival', 'trace']);
        expect(records.map(({ isl }) => isl.asked)).toEqual([
          1_200, 1_400, 700, 1_536, 300, 2_000, 1_030, 900,
        ]);
      });
      const shared = [16 / blocks(1_400), 16 / blocks(1_536), 8 / blocks(2_000), 16 / blocks(1_030)];
      expect(found).toBeCloseTo(
        total(shared, (share) => share),
        6,
      );
    });

    it('finds what was said before in the caches of conversations, and counts their answers', async () => {
      const out = path.join(work, 'multi-turn');
      const talk = ['--dataset', 'multi-turn', '--turns', '3', '--turn-isl', '64', '--think-time', '300ms'];
      const words = [
        '--isl',
        '640',
        '--osl',
        '32',
        '--concurrency',
        '2',
        '--requests',
        '12',
        '--warmup',
        '0',
      ];
      let records: RequestRecord[] = [];
      let report: Report | null = null;
      const found = await hits(async () => {
        const run = await bench([
          ...['run', '--url', stack.url, '--tokenizer', DEEPSEEK_DIR, '--require-exact', ...talk, ...words],
          ...['--out', out],
        ]);
        expect(run.code, run.output).toBe(0);
        ({ report, records } = readRun(out));
      });
      expect(report!.levels[0]!.turns!.map(({ good }) => good)).toEqual([4, 4, 4]);
      for (const { conversation, turn, isl, sentAtMs } of records) {
        const before = records.find((one) => one.conversation === conversation && one.turn === turn! - 1);
        if (before === undefined) expect(isl).toEqual({ asked: 640, counted: 640, by: 'usage' });
        else {
          expect(sentAtMs - before.endAtMs).toBeGreaterThanOrEqual(300);
          // Answers of random tokens are not always as many again when they are read.
          expect(isl.counted!).toBeGreaterThan(before.isl.counted! + 64);
          expect(isl).toMatchObject({ asked: null, by: 'usage' });
        }
      }
      // The ten blocks of a first turn stand before each of the eight later ones.
      const least = total(
        records.filter(({ turn }) => turn! > 1),
        ({ isl }) => 9 / blocks(isl.counted!),
      );
      expect(found).toBeGreaterThan(least);
    });

    it('counts given texts as the tokenizer does', async () => {
      const file = path.join(work, 'own.jsonl');
      const rows = [
        { prompt: ' Wie spät ist es? 你好 🙂\n', osl: 7 },
        { messages: [{ role: 'user', content: 'def f(x):\n\treturn x' }], max_tokens: 9 },
      ];
      writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      const jsonl = ['--dataset', 'jsonl', '--dataset-path', file, '--requests', '2'];
      const own = await measured('jsonl', jsonl);
      expect(own.map(({ osl }) => osl.asked)).toEqual([7, 9]);
      const sharegpt = rowsOf('sharegpt', 'sharegpt-sample.json');
      const asked = await measured('sharegpt', [...sharegpt, '--requests', '9', '--concurrency', '3']);
      expect(new Set(asked.map(({ osl }) => osl.asked)).size).toBeGreaterThan(5);
    });
  });
});

describe.skipIf(missing !== null)('bench sweep against a Dynamo that loses its decode worker', () => {
  let work: string;
  let stack: DynamoStack | undefined;

  beforeAll(() => {
    work = mkdtempSync(path.join(tmpdir(), 'bench-dynamo-'));
  });

  afterEach(async () => {
    await stack?.stop();
    rmSync(work, { recursive: true, force: true });
  });

  it('tells requests cut in mid-stream from good ones', async () => {
    const running = await startDynamo({ workDir: work });
    stack = running;
    const before = await served(running);
    const out = path.join(work, 'killed');
    const flags = ['--concurrency', '4', '--requests', '32', '--warmup', '0', '--tokenizer', DEEPSEEK_DIR];
    const ended = bench([
      'sweep',
      '--url',
      running.url,
      '--isl',
      String(ISL),
      '--osl',
      String(OSL),
      ...flags,
      '--out',
      out,
    ]);
    // The canary and the first requests are through; the next ones stream when the worker goes.
    await Promise.race([settled(running, before.requests + 1 + 4, 60_000), ended]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await running.killDecode();

    const run = await ended;
    expect(run.code, run.output).toBe(1);
    const { report, records } = readRun(out);
    const level = report.levels[0]!;
    expect(records).toHaveLength(32);
    const good = records.filter((record) => record.outcome === 'good');
    expect(good.length).toBeGreaterThanOrEqual(4);
    for (const record of good) expect(record.osl).toEqual({ asked: OSL, counted: OSL, by: 'usage' });
    const cut = records.filter((record) => record.outcome === 'error-event');
    expect(cut.length).toBeGreaterThanOrEqual(1);
    for (const record of cut) expect(record.status).toBe(200);
    expect(cut.some((record) => record.chunkUs.length > 0)).toBe(true);
    const classes = new Set(records.map((record) => record.outcome));
    for (const outcome of classes) expect(['good', 'error-event', 'http', 'reset']).toContain(outcome);
    expect(level.requests).toMatchObject({ sent: 32, good: good.length, failed: 32 - good.length });
    expect(level.outputTokens).toBe(good.length * OSL);
    expect(level.failures['error-event']?.count).toBe(cut.length);
  });
});

/** All records, warm-up included, have exactly the lengths asked for, by the server's own count. */
function expectExact(report: Report, records: readonly RequestRecord[]): void {
  const measured = records.filter((record) => record.phase === 'measured');
  expect(measured).toHaveLength(total(LEVELS, (level) => level * PER_LEVEL));
  for (const record of records) {
    expect(record.outcome, record.detail ?? '').toBe('good');
    expect(record.isl).toEqual({ asked: ISL, counted: ISL, by: 'usage' });
    expect(record.osl).toMatchObject({ counted: record.osl.asked, by: 'usage' });
  }
  for (const record of measured) expect(record.osl.asked).toBe(OSL);

  expect(report.status).toBe('complete');
  expect(report.target.server).toBe('dynamo');
  expect(report.levels.map((level) => level.concurrency)).toEqual(LEVELS);
  for (const level of report.levels) expectLevel(level);
}

function expectLevel(level: LevelReport): void {
  const requests = level.concurrency * PER_LEVEL;
  expect(level.requests).toMatchObject({ sent: requests, good: requests, failed: 0 });
  expect(level.inputTokens).toBe(requests * ISL);
  expect(level.outputTokens).toBe(requests * OSL);
  // The server's own counters, as the run read them between warm-up and the end of the level.
  expect(level.witness).toMatchObject({
    reason: null,
    requests: { server: requests, ours: requests },
    inputTokens: { server: requests * ISL, ours: requests * ISL },
    outputTokens: { server: requests * OSL, ours: requests * OSL },
  });
}

/** What the frontend and both workers tell of a level is of its requests, and inside of what the client saw. */
function expectServerSide(level: LevelReport): void {
  const { sources, frontend, prefill, engine, waterfall } = level.server!;
  const requests = level.concurrency * PER_LEVEL;
  expect(sources).toHaveLength(3);
  for (const { samples, failures } of sources) {
    expect(failures).toBe(0);
    expect(samples).toBeGreaterThanOrEqual(Math.floor(level.durationS! - 1.5));
  }
  for (const span of [frontend?.ttftMs, frontend?.e2eMs, prefill?.workerMs, engine?.ttftMs, engine?.workerMs])
    expect(span?.count).toBe(requests);
  // No more than was in flight, and all of it where a second was full.
  for (const gauge of [frontend!.running!, engine!.running!])
    expect(gauge.max).toBeLessThanOrEqual(level.concurrency);
  expect(frontend!.running!.max).toBe(level.concurrency);
  expect(engine!.kvUseRatio!.max).toBeGreaterThan(0);
  expect(waterfall).toMatchObject({ requests, reason: null, left: [] });
  expect(waterfall.ttftMs).toBeCloseTo(level.ttftMs.mean!, 6);
  const { connect, preprocess, prefillWorker, serverOther, unexplained, ...others } = waterfall.partsMs;
  expect(others).toEqual({});
  const told = connect! + preprocess! + prefillWorker!;
  expect(told + serverOther! + unexplained!).toBeCloseTo(waterfall.ttftMs!, 4);
  expect(Math.min(preprocess!, prefillWorker!)).toBeGreaterThan(0);
  expect(told).toBeLessThan(waterfall.ttftMs!);
  // The client sends before the server's clock starts, and has the first token after it stops.
  expect(unexplained).toBeGreaterThan(0);
}

function sweep(
  stack: DynamoStack,
  out: string,
  more: readonly string[],
): Promise<{ code: number | null; output: string }> {
  return bench([
    ...['sweep', '--url', stack.url, '--isl', String(ISL), '--osl', String(OSL)],
    ...['--concurrency', LEVELS.join(','), '--requests-per-concurrency', String(PER_LEVEL), '--pause', '1s'],
    ...['--out', out, ...more],
  ]);
}

/** Runs the built command to its end. */
function bench(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (text: unknown): void => {
    output += String(text);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const end = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', end);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      process.off('exit', end);
      resolve({ code, output });
    });
  });
}

function readRun(out: string): { report: Report; records: RequestRecord[] } {
  const lines = readFileSync(path.join(out, 'records.ndjson'), 'utf8').trimEnd().split('\n');
  return {
    report: JSON.parse(readFileSync(path.join(out, 'report.json'), 'utf8')) as Report,
    records: lines.map(recordFromJson),
  };
}

async function promptTokensOf(stack: DynamoStack, text: string): Promise<number> {
  const answer = await fetch(`${stack.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: stack.modelName,
      messages: [{ role: 'user', content: text }],
      max_tokens: 1,
    }),
  });
  const body = (await answer.json()) as { usage: { prompt_tokens: number } };
  return body.usage.prompt_tokens;
}

async function served(stack: DynamoStack): Promise<Served> {
  const text = await stack.prometheus();
  return {
    requests: series(text, 'dynamo_frontend_output_sequence_tokens_count', stack.modelName),
    inputTokens: series(text, 'dynamo_frontend_input_sequence_tokens_sum', stack.modelName),
    outputTokens: series(text, 'dynamo_frontend_output_sequence_tokens_sum', stack.modelName),
  };
}

/** What was served once so many requests have ended, or after the time given. */
async function settled(stack: DynamoStack, requests: number, giveUpMs = 5_000): Promise<Served> {
  const until = performance.now() + giveUpMs;
  for (;;) {
    const now = await served(stack);
    if (now.requests >= requests || performance.now() > until) return now;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function series(text: string, name: string, model: string): number {
  const start = `${name}{model="${model}"} `;
  const line = text.split('\n').find((one) => one.startsWith(start));
  return line === undefined ? 0 : Number(line.slice(start.length));
}

function subtract(to: Served, from: Served): Served {
  return {
    requests: to.requests - from.requests,
    inputTokens: to.inputTokens - from.inputTokens,
    outputTokens: to.outputTokens - from.outputTokens,
  };
}

function total<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}
