import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { askedTokens, type ChatBody, startChatServer } from '../fixtures/chat-server.ts';
import { newOut, onlyLevel, type Run, readRun } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

/** Events that are written together, and how long after the ones before. */
interface Write {
  readonly afterMs: number;
  readonly events: readonly unknown[];
}

type Usage = (output: number) => unknown;
/** What a server writes for an output of this number of tokens. */
type Answer = (osl: number, usage: Usage) => readonly Write[];

/** As of a server for which each word is a token, and its template seven. */
const usageOf =
  (body: ChatBody): Usage =>
  (output) => {
    const input = body.messages[0]!.content.split(/\s+/).filter(Boolean).length + 7;
    return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
  };
const piece = (content: string, choice = {}, top = {}) => ({
  choices: [{ index: 0, delta: content === '' ? {} : { content }, finish_reason: null, ...choice }],
  ...top,
});
const finish = (choice = {}, top = {}) => piece('', { finish_reason: 'length', ...choice }, top);

/** A run against a server that writes so. */
async function measure(
  writes: Answer,
  args: readonly string[],
): Promise<{ run: Run; stdout: string; code: number | null }> {
  const server = await startChatServer({
    async answer(body: ChatBody, response) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const { afterMs, events } of writes(askedTokens(body), usageOf(body))) {
        await sleep(afterMs);
        response.write(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''));
      }
      response.end('data: [DONE]\n\n');
    },
  });
  const out = newOut();
  const words = ['run', '--url', server.url, '--isl', '60', '--requests', '4', '--concurrency', '2'];
  const ended = await benchHere([...words, '--warmup', '1', ...args, '--out', out]);
  return { run: readRun(out), stdout: ended.stdout, code: ended.code };
}

const STEP_MS = 10;

/** A token each step, those that `shows` says with their text; events without text stay away where `silent`. */
const hiding =
  (shows: (i: number, osl: number) => boolean, silent = false): Answer =>
  (osl, usage) => [
    ...Array.from({ length: osl }, (_, i): Write => {
      const isShown = shows(i, osl);
      const event = piece(isShown ? ` w${i}` : '', {}, { usage: usage(i + 1) });
      return { afterMs: STEP_MS, events: silent && !isShown ? [] : [event] };
    }),
    { afterMs: 0, events: [finish({}, { usage: usage(osl) }), { choices: [], usage: usage(osl) }] },
  ];

describe('tokens that no chunk shows', () => {
  it.each([
    ['before the first chunk', hiding((i, osl) => i >= 0.75 * osl)],
    ['without an event of their own', hiding((i, osl) => i >= 0.75 * osl, true)],
    ['behind the last chunk', hiding((i, osl) => i < 0.25 * osl)],
  ])('%s do not make a user’s stream faster than it was', async (_, writes) => {
    const { run, stdout } = await measure(writes, ['--osl', '40']);
    const level = onlyLevel(run);
    expect(level.requests).toMatchObject({ sent: 4, good: 4 });
    expect(level.outputTokens).toBe(160);
    expect(level.unseenTokens).toEqual({ count: 120, requests: 4, unknown: 0 });
    // The server waits a step for each token, and no timer fires early by more than a millisecond.
    expect(level.tpotMs.min).toBeGreaterThan(STEP_MS - 1);
    expect(level.tokensPerSPerUser.max).toBeLessThan(1_000 / (STEP_MS - 1));
    expect(level.tpotMs.mean! / level.tokenItlMs.mean!).toBeCloseTo(1, 1);
    expect(stdout).toMatch(/unseen +120 of 160 output tokens \(75 %, in 4 of 4 requests\)/);
  });

  it('are suspected where one event came for each token and few had text', async () => {
    const writes: Answer = (osl, usage) => [
      ...Array.from({ length: osl }, (_, i) => ({
        afterMs: 2,
        events: [piece(i >= 0.75 * osl ? ` word${i}` : '')],
      })),
      { afterMs: 0, events: [finish(), { choices: [], usage: usage(osl) }] },
    ];
    const { run, stdout } = await measure(writes, ['--osl', '40']);
    expect(onlyLevel(run).unseenTokens).toEqual({ count: 0, requests: 0, unknown: 4 });
    expect(stdout).toMatch(/! unseen +4 of 4 outputs seem to have tokens that no chunk showed/);
  });
});

describe('usage in a vendor’s place', () => {
  it.each([
    ['the last choice', (usage: unknown) => finish({ usage })],
    ['an extension', (usage: unknown) => finish({}, { x_groq: { id: 'r', usage } })],
  ])('is counted: %s', async (_, last) => {
    const writes: Answer = (osl, usage) => [
      ...Array.from({ length: osl }, (_, i) => ({ afterMs: 2, events: [piece(` w${i}`)] })),
      { afterMs: 0, events: [last(usage(osl))] },
    ];
    const { run, code } = await measure(writes, ['--osl', '12', '--require-exact']);
    const level = onlyLevel(run);
    expect(code).toBe(0);
    expect(level.oslProof).toMatchObject({ asked: 12, provenByUsage: 4, deviations: 0, unknown: 0 });
    expect(level.outputTokens).toBe(48);
    expect(level).not.toHaveProperty('estimated');
    expect(level).not.toHaveProperty('unseenTokens');
    expect(run.report.target.canary.usage).toBe(true);
  });
});

describe('a server without usage', () => {
  // Words that the embedded tokenizer takes for two tokens each.
  const writes: Answer = (osl) => [
    ...Array.from({ length: osl }, (_, i) => ({ afterMs: 2, events: [piece(` w${i}`)] })),
    { afterMs: 0, events: [finish()] },
  ];

  it('has estimates and no deviation where the tokenizer is not its own', async () => {
    const { run, stdout, code } = await measure(writes, ['--osl', '12', '--require-exact']);
    const level = onlyLevel(run);
    expect(code).toBe(1);
    expect(level.oslProof).toMatchObject({ provenByUsage: 0, deviations: 0, unknown: 0, estimated: 4 });
    expect(level.oslProof.counted!.min).toBeGreaterThan(12);
    expect(level.estimated).toEqual(expect.arrayContaining(['tpotMs', 'outputTokensPerS', 'tokenItlMs']));
    expect(run.summary[0]!['estimated']).toContain('tokensPerSPerUser');
    expect(stdout).not.toContain('DEVIATION');
    expect(stdout).toMatch(/^! .*ESTIMATE at concurrency 2: OSL ≈ /m);
    expect(stdout).toContain('the 12 tokens requested cannot be proven');
    // Token ITL (p50 and p99), TPOT, output tok/s (all, a user) and total: each with its mark.
    const row = stdout.split('\n').find((line) => / 4\/4 /.test(line))!;
    expect(row.match(/≈/g)).toHaveLength(6);
  });

  it('deviates where the tokenizer is the one that was given', async () => {
    const given = ['--tokenizer', path.resolve('datasets/tokenizer')];
    const { run, stdout } = await measure(writes, ['--osl', '12', ...given]);
    const level = onlyLevel(run);
    expect(level).not.toHaveProperty('estimated');
    expect(level.oslProof).toMatchObject({ deviations: 4 });
    expect(stdout).toContain('DEVIATION');
    expect(stdout).not.toContain('≈');
  });
});

describe('events in groups', () => {
  const groups =
    (size: number): Answer =>
    (osl, usage) => [
      ...Array.from({ length: Math.ceil(osl / size) }, (_, g): Write => {
        const count = Math.min(size, osl - g * size);
        return { afterMs: 5 * count, events: Array.from({ length: count }, () => piece(' word')) };
      }),
      { afterMs: 0, events: [finish(), { choices: [], usage: usage(osl) }] },
    ];

  it.each([
    [40, 'events came 40 at a time, every 2'],
    [8, 'events came 8 at a time, every '],
    [1_000, 'whole outputs came at once, 120 events at a time'],
  ])('of %i are named once, and what they bend is marked', async (size, words) => {
    const { run, stdout } = await measure(groups(size), ['--osl', '120']);
    expect(onlyLevel(run).bursts?.events).toBe(Math.min(size, 120));
    expect(stdout.split(words)).toHaveLength(2);
    expect(stdout).toMatch(/! bursts/);
    expect(stdout).toMatch(/^ {2}\* +events came in groups: see "bursts"$/m);
    expect(run.summary[0]!['bursts.events']).toBe(String(Math.min(size, 120)));
  });

  it('of four, as a model that speculates may make them, are no buffer', async () => {
    const { run, stdout } = await measure(groups(4), ['--osl', '40']);
    expect(onlyLevel(run).bursts?.events).toBe(4);
    expect(stdout).not.toMatch(/! bursts|buffers/);
    expect(stdout).toContain('events came 4 at a time');
  });

  it('are not taken for chunks of several tokens', async () => {
    const writes: Answer = (osl, usage) => [
      ...Array.from({ length: osl / 8 }, () => ({ afterMs: 20, events: [piece(' word'.repeat(8))] })),
      { afterMs: 0, events: [finish(), { choices: [], usage: usage(osl) }] },
    ];
    const { run, stdout } = await measure(writes, ['--osl', '40']);
    expect(onlyLevel(run)).not.toHaveProperty('bursts');
    expect(stdout).not.toContain('at a time');
    // Tokens of the first chunk are in TPOT and in no gap.
    expect(stdout).toMatch(/TPOT +TPOT is 18 % below token ITL/);
  });

  it('that are a whole output in one chunk are named as well', async () => {
    const writes: Answer = (osl, usage) => [
      { afterMs: 5, events: [piece(' word'.repeat(osl)), finish(), { choices: [], usage: usage(osl) }] },
    ];
    const { stdout } = await measure(writes, ['--osl', '12']);
    expect(stdout).toMatch(/! bursts +each output came as one chunk/);
  });
});
