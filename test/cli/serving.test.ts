import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { askedTokens, startChatServer, stream } from '../fixtures/chat-server.ts';
import { allTexts, type Ended, makeFolder, readRun, startBench, startServer } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';
import { freePort } from '../fixtures/stack.ts';

const SHAPE = ['--dataset-name', 'random', '--random-range-ratio', '1.0'];
const SMALL = [...SHAPE, '--random-input', '60', '--random-output', '8', '--num-prompt', '4'];
const SHAREGPT = path.resolve(import.meta.dirname, '../fixtures/sharegpt-small.json');

/** A line of sglang's, which is no strict JSON. */
function parseLine(line: string): Record<string, unknown> {
  return JSON.parse(line.replace(/: (-?Infinity|NaN)/g, ': null')) as Record<string, unknown>;
}

function serving(url: string, words: readonly string[], cwd: string, env = {}): Promise<Ended> {
  const target = ['--backend', 'sglang-oai-chat', '--base-url', url];
  return benchHere(['serving', ...target, ...words, '--out', 'own'], { cwd, env });
}

function lineOf(cwd: string, file = 'out.jsonl'): Record<string, unknown> {
  return parseLine(readFileSync(path.join(cwd, file), 'utf8').trimEnd().split('\n').at(-1)!);
}

const BUGS = ['--bug-compatible', '--dataset-path', SHAREGPT];
const FILE = ['--output-file', 'out.jsonl'];

describe('bench serving', () => {
  it('writes the block and the line of a known schedule', async () => {
    const server = await startServer('--ttft 120ms --step 10ms');
    const cwd = makeFolder();
    const { code, stdout, stderr } = await serving(
      server.url,
      [...SMALL, '--max-concurrency', '2', ...FILE],
      cwd,
    );
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(0);
    const line = lineOf(cwd);
    expect(line).toMatchObject({
      tag: null,
      backend: 'sglang-oai-chat',
      dataset_name: 'random',
      max_concurrency: 2,
      random_input_len: 60,
      random_output_len: 8,
      random_range_ratio: 1,
      completed: 4,
      total_input_tokens: 240,
      total_output_tokens: 32,
    });
    const raw = readFileSync(path.join(cwd, 'out.jsonl'), 'utf8');
    expect(raw).toContain('"request_rate": Infinity, "max_concurrency": 2,');
    expect(raw).toContain('"random_range_ratio": 1.0,');
    // The mock keeps its schedule or is late, never early; a busy machine is late by some milliseconds.
    expect(line['median_ttft_ms']).toBeGreaterThanOrEqual(119.5);
    expect(line['median_ttft_ms']).toBeLessThan(160);
    expect(line['median_tpot_ms']).toBeGreaterThan(9);
    expect(line['median_tpot_ms']).toBeLessThan(13);
    const block = stdout.slice(stdout.indexOf('\n============'));
    expect(block).toMatch(/^\n=+ Serving Benchmark Result =+\nBackend: {33}sglang-oai-chat\n/);
    expect(block).toContain(`Successful requests:                     4         \n`);
    expect(block).toContain(
      `Mean TTFT (ms):                          ${Number(line['mean_ttft_ms']).toFixed(2).padEnd(10)}\n`,
    );
    expect(block).toMatch(/\n={50}\n$/);
    expect(stderr).toContain('unlike sglang.bench_serving');
    const run = readRun(path.join(cwd, 'own'));
    expect(run.report.levels[0]!.requests).toMatchObject({ sent: 4, good: 4 });
    expect(readFileSync(path.join(cwd, 'own/sglang.jsonl'), 'utf8')).toBe(raw);
  });

  it('appends behind what is there, on a line of its own', async () => {
    const server = await startChatServer();
    const cwd = makeFolder();
    writeFileSync(path.join(cwd, 'out.jsonl'), 'max_prefill:8192\nno end');
    expect((await serving(server.url, [...SMALL, ...FILE], cwd)).code).toBe(0);
    const lines = readFileSync(path.join(cwd, 'out.jsonl'), 'utf8').split('\n');
    expect(lines.slice(0, 2)).toEqual(['max_prefill:8192', 'no end']);
    expect(parseLine(lines[2]!)['completed']).toBe(4);
    expect(lines.slice(3)).toEqual(['']);
  });

  it('names the file as sglang does, and keeps the arrays on demand', async () => {
    const server = await startChatServer();
    const cwd = makeFolder();
    expect((await serving(server.url, [...SMALL, '--output-details', '--tag', 't1'], cwd)).code).toBe(0);
    const now = new Date();
    const day = `${String(now.getMonth() + 1).padStart(2, '0')}${String(now.getDate()).padStart(2, '0')}`;
    const line = lineOf(cwd, `sglang-oai-chat_${day}_4_60_8.jsonl`);
    expect(line['tag']).toBe('t1');
    expect(line['output_lens']).toEqual([8, 8, 8, 8]);
    expect(line['generated_texts']).toEqual(new Array(4).fill(' w0 w1 w2 w3 w4 w5 w6 w7'));
    expect((line['itls'] as number[][]).map((gaps) => gaps.length)).toEqual([7, 7, 7, 7]);
    expect(line['errors']).toEqual(['', '', '', '']);
  });

  it('tells failures, keeps them out of the numbers and ends with 1', async () => {
    // The first three are the canary and the two probes of the template, the fourth the warm-up.
    const server = await startChatServer({
      answer: (body, response, nth) => {
        if (nth === 6) response.writeHead(503).end('{"error":{"message":"overloaded"}}');
        else stream(body, response, new Array(askedTokens(body)).fill({ content: ' a' }));
      },
    });
    const cwd = makeFolder();
    const ended = await serving(server.url, [...SMALL, '--max-concurrency', '1', ...FILE], cwd);
    expect(ended.stderr).toContain('1 http at');
    expect(ended.stderr).toContain('overloaded');
    expect(ended.code).toBe(1);
    expect(lineOf(cwd)).toMatchObject({ completed: 3, total_output_tokens: 24 });
  });

  it('has no result where all failed: exit 3, nothing appended', async () => {
    const server = await startChatServer({
      answer: (body, response, nth) => {
        if (nth > 3) response.writeHead(500).end();
        else stream(body, response, [{ content: ' a' }]);
      },
    });
    const cwd = makeFolder();
    const ended = await serving(server.url, [...SMALL, ...FILE], cwd);
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('nothing was appended');
    expect(ended.stdout).not.toContain('Serving Benchmark Result');
    expect(existsSync(path.join(cwd, 'out.jsonl'))).toBe(false);
  });

  it('refuses an output file that cannot be written before anything is sent', async () => {
    const server = await startChatServer();
    const cwd = makeFolder();
    const ended = await serving(server.url, [...SMALL, '--output-file', 'none/out.jsonl'], cwd);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('--output-file: cannot append to none/out.jsonl');
    expect(server.bodies).toHaveLength(0);
  });

  it('waits for a server that comes up late, and for its model', async () => {
    const port = await freePort();
    const cwd = makeFolder();
    const words = [
      '--backend',
      'sglang-oai-chat',
      '--host',
      '127.0.0.1',
      '--port',
      String(port),
      '--model',
      'm',
    ];
    const running = startBench(['serving', ...words, ...SMALL, ...FILE, '--out', 'own'], { cwd });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    let listed: string[] = [];
    const server = await startChatServer({ models: () => listed }, port);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(server.bodies).toHaveLength(0);
    listed = ['m'];
    expect((await running.ended).code).toBe(0);
    expect(lineOf(cwd)['completed']).toBe(4);
  });

  it('gives up on a server that never comes: exit 3', async () => {
    const words = [...SMALL, ...FILE, '--ready-check-timeout-sec', '1'];
    const ended = await serving('http://127.0.0.1:1', words, makeFolder());
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('was not ready within 1 s');
  });

  it('names its own flags in hints', async () => {
    const server = await startChatServer({
      answer: (body, response) => {
        if (body['model'] === 'm') stream(body, response, [{ content: ' a' }]);
        else response.writeHead(404).end('{"error":{"message":"no such model"}}');
      },
    });
    const cwd = makeFolder();
    const now = [...SMALL, ...FILE, '--ready-check-timeout-sec', '0'];
    const nobody = await serving('http://127.0.0.1:1', now, cwd);
    expect(nobody.code).toBe(3);
    expect(nobody.stderr).toContain('start it, or name it with --base-url, or --host and --port\n');
    const wrong = await serving(server.url, [...now, '--model', 'wrong'], cwd);
    expect(wrong.code).toBe(3);
    expect(wrong.stderr).toMatch(/does not list the model "wrong" \(it lists m\).*no such model/);
    expect(wrong.stderr).toMatch(/name a listed one with --model.*--ready-check-timeout-sec\n/);
    mkdirSync(path.join(cwd, 'own'));
    writeFileSync(path.join(cwd, 'own/records.ndjson'), '');
    const there = await serving(server.url, now, cwd);
    expect(there.code).toBe(2);
    expect(there.stderr).toMatch(/--out: own already holds a run\n {2}choose another folder\n/);
  });

  it('keeps what secrets the flags and the server hold out of all files', async () => {
    const server = await startChatServer({
      other: (request, response) => {
        if (request.url !== '/server_info') response.writeHead(404).end();
        else
          response.end(
            JSON.stringify({
              api_key: 'SECRET1',
              version: '0.5.23',
              internal_states: [{ avg_spec_accept_length: 1.5 }],
            }),
          );
      },
    });
    const cwd = makeFolder();
    const words = [...SMALL, ...FILE, '--header', 'X-A=SECRET2', 'X-B=SECRET3', '--tag', 'x'];
    const ended = await serving(server.url, words, cwd, { OPENAI_API_KEY: 'SECRET4' });
    expect(ended.code).toBe(0);
    expect(ended.stdout + ended.stderr + allTexts(cwd)).not.toMatch(/SECRET\d/);
    expect(lineOf(cwd)).toMatchObject({
      accept_length: 1.5,
      server_info: { api_key: '***', version: '0.5.23' },
    });
    expect(ended.stdout).toContain('Accept length:                           1.50      \n');
  });

  it('says when the cache could not be flushed, and flushes where it can', async () => {
    const cwd = makeFolder();
    const without = await startChatServer();
    const told = await serving(without.url, [...SMALL, ...FILE, '--flush-cache'], cwd);
    expect(told.code).toBe(0);
    expect(told.stderr).toContain('the cache was not flushed: POST /flush_cache gave 404');
    const flushing = await startChatServer({ other: (_request, response) => response.end('ok') });
    const done = await serving(flushing.url, [...SMALL, ...FILE, '--flush-cache'], makeFolder());
    expect(done.stderr).not.toContain('not flushed');
    expect(flushing.calls).toContain('POST /flush_cache?timeout=60');
  });
});

describe('what bench serving tells', () => {
  it('is in the line what it is in the report, requests without text left out of latencies', async () => {
    const server = await startServer('--ttft 40ms --step 2ms --fault no-text --fault-rate 0.5 --seed 5');
    const cwd = makeFolder();
    const words = [
      ...SMALL,
      '--num-prompts',
      '16',
      '--max-concurrency',
      '4',
      ...FILE,
      '--goodput',
      'ttft:5000',
    ];
    expect((await serving(server.url, words, cwd)).code).toBe(0);
    const line = lineOf(cwd);
    const level = readRun(path.join(cwd, 'own')).report.levels[0]!;
    const { good, goodWithoutText } = level.requests;
    expect(goodWithoutText).toBeGreaterThan(0);
    expect(goodWithoutText).toBeLessThan(good);
    const close = (key: string, value: number | null): void => {
      expect(Number(line[key]) / value!, key).toBeCloseTo(1, 4);
    };
    close('mean_ttft_ms', level.ttftMs.mean);
    close('p99_ttft_ms', level.ttftMs.p99);
    close('mean_tpot_ms', level.tpotMs.mean);
    close('mean_e2e_latency_ms', level.e2eMs.mean);
    close('duration', level.durationS);
    close('output_throughput', level.outputTokensPerS);
    close('input_throughput', level.inputTokensPerS);
    expect(line).toMatchObject({ completed: good, total_output_tokens: level.outputTokens });
    expect(line['slo_attainment']).toBeCloseTo((good - goodWithoutText) / 16, 12);
  });

  it('is each request, a chart, goodput and other forms on demand', async () => {
    const server = await startServer('--ttft 5ms --step 1ms');
    const cwd = makeFolder();
    const more = [
      '--print-requests',
      '--plot-throughput',
      '--goodput',
      'ttft:60000',
      '--export',
      'vllm,sglang',
    ];
    const { code, stdout, stderr } = await serving(server.url, [...SMALL, ...FILE, ...more], cwd);
    expect(code).toBe(0);
    expect(stderr.match(/^request \S+: sent at .* good$/gm)).toHaveLength(4);
    expect(stdout).toContain('output tok/s over time');
    expect(stdout).toMatch(/^SLO attainment \(%\): +100\.00 *$/m);
    expect(lineOf(cwd)).toMatchObject({ goodput_slos_ms: { ttft: 60_000 }, slo_attainment: 1 });
    expect(stderr).toContain('export: own/exports/sglang.jsonl');
    const vllm = /export: (own\/exports\/vllm\/\S+\.json)/.exec(stderr)![1]!;
    const result = JSON.parse(readFileSync(path.join(cwd, vllm), 'utf8')) as Record<string, number>;
    expect(result['request_goodput']).toBe(result['request_throughput']);
    expect(readRun(path.join(cwd, 'own')).report.spec.slosMs).toEqual({ ttft: 60_000 });
  });

  it.each([
    ['', []],
    [' in another layout, with all extras', ['--layout', '2025-11', '--output-details', '--cache-report']],
  ])('is the same line in each export of the run%s', async (_name, more) => {
    const server = await startServer('--ttft 5ms --step 1ms');
    const cwd = makeFolder();
    const flags = ['--tag', 'a b', '--goodput', 'ttft:60000', '--backend', 'vllm-chat', ...more];
    const ended = await serving(server.url, [...SMALL, ...FILE, ...flags, '--export', 'sglang'], cwd);
    expect(ended.code, ended.stderr).toBe(0);
    const line = readFileSync(path.join(cwd, 'out.jsonl'), 'utf8');
    expect(lineOf(cwd)).toMatchObject({ tag: 'a b', backend: 'vllm-chat', max_concurrency: null });
    expect(readFileSync(path.join(cwd, 'own/exports/sglang.jsonl'), 'utf8')).toBe(line);
    const later = await benchHere(['report', 'own', '--export', 'sglang', '--export-dir', 'later'], { cwd });
    expect(later.stdout).toBe('later/sglang.jsonl\n');
    expect(readFileSync(path.join(cwd, 'later/sglang.jsonl'), 'utf8')).toBe(line);
  });

  it('is in its own folder when the output file refuses the line: exit 2', async () => {
    const server = await startChatServer();
    const cwd = makeFolder();
    const ended = await serving(server.url, [...SMALL, '--output-file', '/dev/full'], cwd);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('/dev/full did not take the line');
    expect(lineOf(path.join(cwd, 'own'), 'sglang.jsonl')['completed']).toBe(4);
  });

  it('is nothing in the output file after Ctrl-C', async () => {
    const server = await startServer('--ttft 5ms --step 200ms');
    const cwd = makeFolder();
    const words = [
      '--backend',
      'sglang-oai-chat',
      '--base-url',
      server.url,
      ...SMALL,
      ...FILE,
      '--out',
      'own',
    ];
    const running = startBench(['serving', ...words, '--random-output', '1000'], { cwd });
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    running.child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 300));
    running.child.kill('SIGINT');
    // The second signal may come when all is tidied up and nobody listens any more: to a shell that is 130 as well.
    const { code, signal } = await running.ended;
    expect(signal === 'SIGINT' ? 130 : code).toBe(130);
    expect(existsSync(path.join(cwd, 'out.jsonl'))).toBe(false);
  });

  it('is a wrong temporary folder in one line: exit 2', async () => {
    const server = await startChatServer();
    const ended = await serving(server.url, [...SMALL, ...FILE], makeFolder(), { TMPDIR: '/none' });
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('cannot make a temporary folder in /none');
  });
});

describe('bench serving --bug-compatible', () => {
  it('credits the asked length, opens a connection per request and repeats row 0', async () => {
    const server = await startChatServer({
      answer: (body, response) =>
        stream(body, response, [{ role: 'assistant' }, { content: ' a' }, { content: ' b' }]),
    });
    const cwd = makeFolder();
    const words = [...SMALL, ...FILE, ...BUGS, '--max-concurrency', '1', '--output-details'];
    const ended = await serving(server.url, words, cwd);
    expect(ended.stderr).toContain('4 of 4 successes have no count by the server');
    expect(ended.code).toBe(0);
    const line = lineOf(cwd);
    expect(line).toMatchObject({ completed: 4, total_output_tokens: 32, total_input_tokens: 240 });
    expect(line['output_lens']).toEqual([8, 8, 8, 8]);
    const [, warmup, ...measured] = server.bodies;
    expect(measured).toHaveLength(4);
    expect(warmup!.messages).toEqual(measured[0]!.messages);
    expect(measured[0]).toMatchObject({ max_completion_tokens: 8, ignore_eos: true, temperature: 0 });
    expect(measured[0]).not.toHaveProperty('stream_options');
    expect(server.connections()).toBe(server.bodies.length);
    // The same server in the default reading: it is asked for usage and tells the truth.
    const strict = makeFolder();
    await serving(server.url, [...SMALL, ...FILE], strict);
    expect(lineOf(strict)['total_output_tokens']).toBe(12);
  });

  it('counts what sglang counts as success: no token, no end mark, an error in the stream', async () => {
    const server = await startChatServer({
      answer: (body, response, nth) => {
        if (nth < 4) stream(body, response, [{ content: ' a' }]);
        else if (nth === 4) stream(body, response, []);
        else if (nth === 5) stream(body, response, [{ reasoning_content: ' thinking' }]);
        else {
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          response.end('data: {"error": {"message": "worker died"}}\n\n');
        }
      },
    });
    const cwd = makeFolder();
    const words = [...SMALL, ...FILE, ...BUGS, '--max-concurrency', '1', '--output-details'];
    const ended = await serving(server.url, words, cwd);
    expect(ended.code).toBe(0);
    expect(ended.stderr).toContain('worker died');
    expect(ended.stderr).toMatch(
      /^note: .*3 of its 4 successful requests are the failures told above \(2 empty, 1 error-event\)/m,
    );
    expect(lineOf(cwd)).toMatchObject({ completed: 4, total_output_tokens: 32 });
    expect(lineOf(cwd)['ttfts']).toEqual([expect.any(Number), 0, 0, 0]);
    expect(readRun(path.join(cwd, 'own')).report.levels[0]!.requests.failed).toBe(3);
  });

  it.each([
    ['2025-08', 20],
    ['2025-11', 10],
  ] as const)('of %s takes a gap of two speculated tokens for %d ms', async (layout, itlMs) => {
    const server = await startChatServer({
      // Chunks of two tokens each, 20 ms apart.
      answer: async (body, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        for (let i = 0; i < askedTokens(body) / 2; i++) {
          const delta = { content: ' the the' };
          response.write(`data: ${JSON.stringify({ id: 'x', choices: [{ index: 0, delta }] })}\n\n`);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        response.end('data: [DONE]\n\n');
      },
      other: (_request, response) =>
        response.end(JSON.stringify({ internal_states: [{ avg_spec_accept_length: 2 }] })),
    });
    const cwd = makeFolder();
    const ended = await serving(server.url, [...SMALL, ...FILE, ...BUGS, '--layout', layout], cwd);
    expect(ended.code, ended.stderr).toBe(0);
    const line = lineOf(cwd);
    expect(line).toMatchObject({ accept_length: 2, total_output_tokens_retokenized: 32 });
    // The other reading is half or twice as much, which no busy machine makes of a median.
    expect(Number(line['median_itl_ms']) / itlMs).toBeGreaterThan(0.8);
    expect(Number(line['median_itl_ms']) / itlMs).toBeLessThan(1.6);
  });

  it('needs a ShareGPT file: exit 2, nothing sent', async () => {
    const server = await startChatServer();
    const ended = await serving(server.url, [...SMALL, ...FILE, '--bug-compatible'], makeFolder());
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('--dataset-path');
    expect(server.bodies).toHaveLength(0);
  });
});
