import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { askedTokens, type ChatServerOptions, startChatServer, stream } from '../fixtures/chat-server.ts';
import {
  countLines,
  newOut,
  onlyLevel,
  readRun,
  startBench,
  startServer,
  startStub,
  until,
} from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

const LIMITS = ['--timeout-first', '300ms', '--timeout-idle', '300ms'];
const SMALL = ['--isl', '60', '--osl', '6', '--warmup', '0', '--concurrency', '4'];

/** What the mock calls it, and what a user has to see. */
const FAULTS = [
  ['http-500', 'http', 'status 500: Internal server error'],
  ['http-429', 'http', 'status 429: Rate limit reached'],
  ['reset', 'reset', 'ECONNRESET'],
  ['reset-mid', 'reset', 'ECONNRESET'],
  ['cut', 'truncated', 'closed in the middle'],
  ['truncate', 'truncated', 'after 3 chunks without [DONE]'],
  ['error-event', 'error-event', 'Internal server error'],
  ['malformed', 'malformed', 'no JSON'],
  ['empty', 'empty', 'without a single output token'],
  ['hang', 'timeout', 'no output within 300 ms'],
  ['stall', 'timeout', 'nothing for 300 ms after 3 chunks'],
] as const;

describe('a server that fails now and then', () => {
  it.each(FAULTS)('%s is counted as %s and never as good', async (fault, failure, words) => {
    const out = newOut();
    const flags = `--ttft 5ms --step 1ms --fault ${fault} --fault-rate 0.4 --seed 3`;
    const args = ['run', '--mock', '--mock-flags', flags, ...SMALL, ...LIMITS, '--requests', '20'];
    const ended = await benchHere([...args, '--out', out]);
    expect(ended.code).toBe(1);
    const run = readRun(out);
    const level = onlyLevel(run);
    expect(run.report.status).toBe('complete');
    expect(level.requests.sent).toBe(20);
    expect(level.requests.good + level.requests.failed).toBe(20);
    expect(level.requests.failed).toBeGreaterThan(0);
    expect(level.requests.good).toBeGreaterThan(0);
    expect(Object.keys(level.failures)).toEqual([failure]);
    expect(level.failures[failure]!.count).toBe(level.requests.failed);
    expect(level.failures[failure]!.first).toContain(words);
    expect(level.failureRatio).toBeCloseTo(level.requests.failed / 20, 12);
    // Nothing of a failed request enters a latency, a rate or a proof.
    for (const stats of [level.ttftMs, level.e2eMs, level.tpotMs])
      expect(stats.count).toBe(level.requests.good);
    expect(level.outputTokens).toBe(6 * level.requests.good);
    expect(level.oslProof.deviations).toBe(0);
    const bad = run.records.filter(({ outcome }) => outcome !== 'good');
    expect(bad.map(({ outcome }) => outcome)).toEqual(Array(bad.length).fill(failure));
    for (const { detail } of bad) expect(detail).toContain(words);
    expect(ended.stdout).toContain(words);
  });

  it('may fail as often as --max-failure-ratio allows', async () => {
    const out = newOut();
    const flags = '--ttft 5ms --step 1ms --fault http-500 --fault-rate 0.4 --seed 3';
    const args = ['run', '--mock', '--mock-flags', flags, ...SMALL, '--requests', '20', '--out', out];
    expect((await benchHere([...args, '--max-failure-ratio', '0.9'])).code).toBe(0);
    expect(onlyLevel(readRun(out)).requests.failed).toBeGreaterThan(0);
  });

  it('is good without text where usage counts what was not shown', async () => {
    const out = newOut();
    const flags = '--ttft 5ms --step 1ms --fault no-text --fault-rate 0.4 --seed 3';
    const ended = await benchHere([
      'run',
      '--mock',
      '--mock-flags',
      flags,
      ...SMALL,
      '--requests',
      '20',
      '--out',
      out,
    ]);
    expect(ended.code).toBe(0);
    const level = onlyLevel(readRun(out));
    expect(level.requests).toMatchObject({ sent: 20, good: 20, failed: 0 });
    expect(level.requests.goodWithoutText).toBeGreaterThan(0);
    expect(level.ttftMs.count).toBe(20 - level.requests.goodWithoutText);
    expect(level.outputTokens).toBe(120);
    expect(ended.stdout).toContain('good requests showed no text');
  });

  it('may close its connections: that is no failure', async () => {
    const out = newOut();
    const flags = '--ttft 5ms --step 1ms --fault close';
    const ended = await benchHere([
      'run',
      '--mock',
      '--mock-flags',
      flags,
      ...SMALL,
      '--requests',
      '20',
      '--out',
      out,
    ]);
    expect(ended.code).toBe(0);
    expect(onlyLevel(readRun(out)).requests).toMatchObject({ sent: 20, good: 20, failed: 0 });
  });
});

function serving(url: string, out: string): string[] {
  const prompts = ['--dataset-name', 'random', '--random-range-ratio', '1.0', '--random-input-len', '60'];
  const file = ['--output-file', `${out}.jsonl`, '--out', out];
  return [
    'serving',
    '--backend',
    'sglang-oai-chat',
    '--base-url',
    url,
    ...prompts,
    '--random-output-len',
    '6',
    ...file,
  ];
}

describe('a server that gives up', () => {
  /** Half of the tokens and a finish reason for every other request of 6 tokens; the test request is served. */
  const givesUp =
    (reason: string): NonNullable<ChatServerOptions['answer']> =>
    (body, response, nth) => {
      const asked = askedTokens(body);
      const isCut = asked === 6 && nth % 2 === 0;
      const deltas = Array.from({ length: isCut ? 3 : asked }, (_, i) => ({ content: ` w${i}` }));
      stream(body, response, deltas, '[DONE]', isCut ? reason : 'length');
    };

  it.each([
    ['abort', 'aborted', 'finish reason "abort" after 3 output tokens'],
    ['error', 'aborted', 'finish reason "error" after 3 output tokens'],
    ['content_filter', 'filtered', 'finish reason "content_filter" after 3 output tokens'],
    ['because', 'aborted', 'unknown finish reason "because" after 3 output tokens of 6 requested'],
  ] as const)('by the finish reason %s has failed: %s', async (reason, failure, words) => {
    const server = await startChatServer({ answer: givesUp(reason) });
    const out = newOut();
    const ended = await benchHere(['run', '--url', server.url, ...SMALL, '--requests', '8', '--out', out]);
    expect(ended.code).toBe(1);
    const level = onlyLevel(readRun(out));
    expect(level.requests).toMatchObject({ sent: 8, good: 4, failed: 4 });
    expect(level.failures).toEqual({ [failure]: { count: 4, first: words } });
    // Their tokens are in no rate and no length.
    expect(level).toMatchObject({ outputTokens: 24, wastedOutputTokens: 12, oslProof: { deviations: 0 } });
    expect(ended.stdout).toContain(`4 ${failure} at concurrency 4: ${words}`);
  });

  it('may name an end that is not known where the model may stop early', async () => {
    const server = await startChatServer({ answer: givesUp('because') });
    const out = newOut();
    const ended = await benchHere([
      ...serving(server.url, out),
      '--num-prompts',
      '8',
      '--disable-ignore-eos',
    ]);
    expect(ended.code).toBe(0);
    expect(onlyLevel(readRun(out))).toMatchObject({
      requests: { good: 8 },
      ends: { unknownReasons: { because: 4 }, unproven: 0 },
    });
  });

  it('at once is no target: exit 3 with the reason', async () => {
    const server = await startChatServer({
      answer: (body, response) => stream(body, response, [{ content: ' w' }], '[DONE]', 'abort'),
    });
    const ended = await benchHere(['run', '--url', server.url, ...SMALL, '--out', newOut()]);
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('aborted: finish reason "abort" after 1 output tokens');
  });
});

describe('a server whose output is not read', () => {
  const hides: NonNullable<ChatServerOptions['answer']> = (body, response) =>
    stream(
      body,
      response,
      Array.from({ length: askedTokens(body) }, (_, i) => ({ my_thoughts: ` w${i}` })),
    );

  it('is named with a chunk before the first level, by a run and by a check', async () => {
    const server = await startChatServer({ answer: hides });
    const words =
      /warning: +the test request's 30 output tokens showed no text, so nothing can be timed: no text was found in 30 chunks such as {.*"my_thoughts":" w10"}/;
    const out = newOut();
    const ended = await benchHere(['run', '--url', server.url, ...SMALL, '--requests', '4', '--out', out]);
    expect(ended.stderr).toMatch(words);
    expect(ended.code).toBe(0);
    expect(onlyLevel(readRun(out)).requests).toMatchObject({ good: 4, goodWithoutText: 4 });
    const checked = await benchHere(['check', '--url', server.url]);
    expect(checked.stdout).toMatch(words);
    expect(checked.code).toBe(0);
  });

  it('is shown in what bench serving says beside its zeros', async () => {
    const server = await startChatServer({ answer: hides });
    const ended = await benchHere([...serving(server.url, newOut()), '--num-prompts', '4']);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toMatch(/^Mean TTFT \(ms\): +0\.00 *$/m);
    expect(ended.stderr).toMatch(
      /^warning: no output was seen in any of the 4 successful requests: the 0\.00 of E2E, TTFT, TPOT and ITL says "not seen"/m,
    );
    expect(ended.stderr).toContain('"my_thoughts":" w10"');
  });
});

describe('a server that always fails', () => {
  it('is told by the canary, with the reason, before anything is measured', async () => {
    const out = newOut();
    const ended = await benchHere([
      'run',
      '--mock',
      '--mock-flags',
      '--fault http-500',
      ...SMALL,
      '--out',
      out,
    ]);
    expect(ended.code).toBe(3);
    expect(ended.stdout).toBe('');
    expect(ended.stderr).toContain('status 500: Internal server error');
  });

  it('once it is measured ends the sweep with exit 3; what happened is on disk', async () => {
    const url = await startStub({ models: ['m'], fails: (maxTokens) => maxTokens === 6 });
    const out = newOut();
    const levels = ['--isl', '60', '--osl', '6', '--concurrency', '2,3', '--requests', '5', '--pause', '0s'];
    const ended = await benchHere(['sweep', '--url', url, ...levels, '--out', out]);
    expect(ended.code).toBe(3);
    const run = readRun(out);
    expect(run.report.status).toBe('failed');
    expect(run.report.statusDetail).toContain('C=2');
    const level = onlyLevel(run);
    expect(level.requests).toMatchObject({ sent: 5, good: 0, failed: 5, warmup: 2, warmupFailed: 2 });
    expect(level.failures).toEqual({ http: { count: 5, first: 'status 500: out of order' } });
    expect(level.ttftMs).toMatchObject({ count: 0, p50: null });
    expect(level.outputTokensPerS).toBe(0);
    expect(ended.stdout).toContain('out of order');
    expect(run.records).toHaveLength(7);
  });
});

describe('a server that goes away', () => {
  it('in the middle of a level leaves whole records and a report of what failed', async () => {
    const server = await startServer('--ttft 20ms --step 10ms');
    const out = newOut();
    const levels = [
      '--isl',
      '60',
      '--osl',
      '20',
      '--concurrency',
      '4,8',
      '--requests',
      '40',
      '--pause',
      '0s',
    ];
    const running = startBench(['sweep', '--url', server.url, '--warmup', '0', ...levels, '--out', out]);
    await until('the first records', () => countLines(path.join(out, 'records.ndjson')) >= 8);
    server.running.child.kill('SIGKILL');
    const ended = await running.ended;
    const run = readRun(out);
    const [first, second] = run.report.levels;
    expect(first!.requests.good).toBeGreaterThanOrEqual(8);
    expect(first!.requests.failed).toBeGreaterThan(0);
    expect(first!.requests.sent).toBe(40);
    expect(first!.failures.connect?.count).toBeGreaterThan(0);
    // The system may close the listener of a killed process last: who comes back before that is reset.
    expect(first!.failures.connect!.first).toMatch(/ECONNREFUSED|ECONNRESET/);
    expect(second!.requests.good).toBe(0);
    expect(run.report.status).toBe('failed');
    expect(ended.code).toBe(1);
    expect(ended.stderr).not.toContain('bug of bench');
  });
});
