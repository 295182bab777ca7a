import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Engine, jitterSource, type Stages, type Ticket, type Timing } from '../../src/mock/engine.ts';
import { createEngine } from '../../src/mock/engines.ts';

const STACK: Timing = {
  ttftMs: null,
  stepMs: 10,
  spread: false,
  stepPerStreamMs: 2,
  baseTtftMs: 5,
  prefillTokensPerS: 1_000,
  kvTokens: Number.POSITIVE_INFINITY,
  jitterRatio: 0,
  tokensPerStep: [1],
  seed: 1,
};
const FIXED: Timing = { ...STACK, ttftMs: 200 };

interface Ask {
  readonly at: number;
  readonly prompt: number;
  readonly output: number;
  readonly max?: number;
  readonly cached?: number;
}

/** An engine on a clock that stands still until it is moved. */
class Bench {
  nowMs = 0;
  readonly engine: Engine;
  readonly emitted: {
    readonly name: string;
    readonly tokens: number;
    readonly last: boolean;
    readonly atMs: number;
  }[] = [];

  constructor(timing: Timing) {
    this.engine = createEngine(timing, { now: () => this.nowMs });
  }

  /** Where the time to each first token went. */
  readonly stages: Record<string, Stages> = {};

  /** `readAt`: the server gets to it only then. */
  submit(name: string, { at, prompt, output, max = output, cached = 0 }: Ask, readAt = at): Ticket {
    this.runTo(readAt);
    return this.engine.submit({
      arrivedAtMs: at,
      promptTokens: prompt,
      cachedTokens: cached,
      outputTokens: output,
      maxTokens: max,
      first: (stages) => {
        this.stages[name] = stages;
      },
      emit: (tokens, last, atMs) => this.emitted.push({ name, tokens, last, atMs }),
    });
  }

  /** Advances at each instant the engine asks for, then stands at `atMs`. */
  runTo(atMs: number): void {
    while (this.engine.nextAtMs <= atMs) {
      this.nowMs = Math.max(this.nowMs, this.engine.nextAtMs);
      this.engine.advance();
    }
    this.nowMs = atMs;
  }

  instants(name: string): number[] {
    return this.emitted.filter((event) => event.name === name).map((event) => event.atMs);
  }
}

describe('fixed schedule', () => {
  it('makes token k due at arrival + TTFT + k · step, whatever else runs', () => {
    const bench = new Bench(FIXED);
    bench.submit('a', { at: 5, prompt: 9_000, output: 4 });
    bench.submit('b', { at: 12, prompt: 1, output: 3 });
    bench.runTo(1_000);
    expect(bench.instants('a')).toEqual([205, 215, 225, 235]);
    expect(bench.instants('b')).toEqual([212, 222, 232]);
    expect(bench.emitted.map((event) => event.atMs)).toEqual([205, 212, 215, 222, 225, 232, 235]);
    expect(bench.engine.nextAtMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('moves each request by its own share of a step where they are spread', () => {
    const bench = new Bench({ ...FIXED, spread: true });
    for (const name of ['a', 'b', 'c']) bench.submit(name, { at: 0, prompt: 1, output: 2 });
    bench.runTo(1_000);
    expect(bench.instants('a')).toEqual([200, 210]);
    for (const [name, share] of [
      ['b', 0.618034],
      ['c', 0.236068],
    ] as const) {
      expect(bench.instants(name)[0]).toBeCloseTo(200 + 10 * share, 4);
      expect(bench.instants(name)[1]).toBeCloseTo(210 + 10 * share, 4);
    }
  });

  it('tells where the time to the first token went: all of it is prefill, after the request’s own share of a step', () => {
    const bench = new Bench({ ...FIXED, spread: true });
    for (const name of ['a', 'b']) bench.submit(name, { at: 5, prompt: 1, output: 2 });
    bench.runTo(1_000);
    expect(bench.stages['a']).toEqual({ queueMs: 0, prefillMs: 200, firstDecodeMs: 0 });
    expect(bench.stages['b']!.queueMs).toBeCloseTo(6.18034, 4);
    expect(bench.stages['b']!.prefillMs).toBeCloseTo(200, 9);
  });

  it('does not drift over a long answer', () => {
    const bench = new Bench({ ...FIXED, stepMs: 0.1 });
    bench.submit('a', { at: 0, prompt: 1, output: 100_001 });
    bench.runTo(20_000);
    expect(bench.instants('a').at(-1)).toBeCloseTo(200 + 10_000, 9);
  });

  it('keeps the due instants when it is advanced late', () => {
    const bench = new Bench(FIXED);
    bench.submit('a', { at: 0, prompt: 1, output: 3 });
    bench.nowMs = 5_000;
    bench.engine.advance();
    expect(bench.instants('a')).toEqual([200, 210, 220]);
  });

  it('cycles through the tokens of a step and marks the last', () => {
    const bench = new Bench({ ...FIXED, tokensPerStep: [1, 2, 3] });
    bench.submit('a', { at: 0, prompt: 1, output: 8 });
    bench.runTo(1_000);
    expect(bench.emitted.map(({ tokens, last, atMs }) => [atMs, tokens, last])).toEqual([
      [200, 1, false],
      [210, 2, false],
      [220, 3, false],
      [230, 1, false],
      [240, 1, true],
    ]);
  });

  it('emits nothing after a cancel', () => {
    const bench = new Bench(FIXED);
    const ticket = bench.submit('a', { at: 0, prompt: 7, output: 10 });
    expect(bench.engine.gauges).toEqual({ running: 1, waiting: 0, kvTokens: 17 });
    bench.runTo(215);
    bench.engine.cancel(ticket);
    bench.engine.cancel(ticket);
    expect(bench.engine.gauges).toEqual({ running: 0, waiting: 0, kvTokens: 0 });
    bench.runTo(1_000);
    expect(bench.instants('a')).toEqual([200, 210]);
  });
});

describe('simulated stack', () => {
  it('prefills in a queue and steps the whole batch', () => {
    const bench = new Bench(STACK);
    // a: prefill 0 to 100, ready 105. b: prefill 100 to 120, ready 125, while the step of a runs 117 to 129.
    bench.submit('a', { at: 0, prompt: 100, output: 4 });
    bench.submit('b', { at: 50, prompt: 20, output: 3 });
    bench.runTo(1_000);
    // Alone a step takes 10 + 2, with both 10 + 2 · 2.
    expect(bench.instants('a')).toEqual([105, 117, 129, 143]);
    expect(bench.instants('b')).toEqual([125, 143, 155]);
  });

  it('tells where the time to the first token went: the queue, prefill, and the wait for decode and its room', () => {
    const bench = new Bench({ ...STACK, kvTokens: 50 });
    bench.submit('a', { at: 0, prompt: 30, output: 2 });
    bench.submit('b', { at: 1, prompt: 20, output: 1 });
    bench.runTo(1_000);
    // a: prefill 0 to 30, first token at 35, last one a step of 12 ms later. b: prefill 30 to 50, then room: 20 + 1 tokens do not fit beside 32.
    expect(bench.instants('a')).toEqual([35, 47]);
    expect(bench.stages).toEqual({
      a: { queueMs: 0, prefillMs: 30, firstDecodeMs: 5 },
      b: { queueMs: 29, prefillMs: 20, firstDecodeMs: 5 },
    });
    const late = new Bench({ ...STACK, kvTokens: 50 });
    late.submit('a', { at: 0, prompt: 30, output: 4 });
    late.submit('b', { at: 1, prompt: 20, output: 1 });
    late.runTo(1_000);
    // a decodes to 71 here, and b is admitted at that instant.
    expect(late.stages['b']).toEqual({ queueMs: 29, prefillMs: 20, firstDecodeMs: 21 });
  });

  it('counts from the arrival of a request that the server gets to late', () => {
    const bench = new Bench(STACK);
    bench.submit('a', { at: 0, prompt: 10, output: 20 });
    // Meanwhile a step of a ended at 27.
    bench.submit('b', { at: 20, prompt: 10, output: 1 }, 30);
    // Prefill was busy with b until 30; ready at 42. a had steps at 39 and 51, after which the past is as it is.
    bench.submit('c', { at: 25, prompt: 7, output: 1 }, 52);
    bench.runTo(200);
    expect(bench.instants('a').slice(0, 4)).toEqual([15, 27, 39, 51]);
    expect(bench.instants('b')).toEqual([35]);
    expect(bench.instants('c')).toEqual([51]);
    expect(bench.stages).toMatchObject({
      b: { queueMs: 0, prefillMs: 10, firstDecodeMs: 5 },
      c: { queueMs: 5, prefillMs: 7, firstDecodeMs: 14 },
    });
  });

  it('skips prefill of cached tokens', () => {
    const bench = new Bench(STACK);
    bench.submit('a', { at: 0, prompt: 100, cached: 90, output: 1 });
    bench.runTo(1_000);
    expect(bench.instants('a')).toEqual([15]);
  });

  it('holds requests back until prompt and max_tokens fit, without overtaking', () => {
    const bench = new Bench({ ...STACK, kvTokens: 150 });
    bench.submit('a', { at: 0, prompt: 100, output: 4, max: 10 });
    // b needs 50 of the 40 that are left; c would fit but stands behind b.
    bench.submit('b', { at: 50, prompt: 20, output: 2, max: 30 });
    bench.submit('c', { at: 60, prompt: 1, output: 1 });
    bench.runTo(130);
    expect(bench.engine.gauges).toEqual({ running: 1, waiting: 2, kvTokens: 110 });
    bench.runTo(1_000);
    expect(bench.instants('a')).toEqual([105, 117, 129, 141]);
    expect(bench.instants('b')).toEqual([141, 153]);
    expect(bench.instants('c')).toEqual([141]);
    expect(bench.engine.gauges).toEqual({ running: 0, waiting: 0, kvTokens: 0 });
  });

  it('goes on with the next in the queue when one in prefill is cancelled', () => {
    const bench = new Bench(STACK);
    const a = bench.submit('a', { at: 0, prompt: 100, output: 4 });
    bench.submit('b', { at: 10, prompt: 20, output: 1 });
    bench.runTo(40);
    bench.engine.cancel(a);
    bench.runTo(1_000);
    expect(bench.instants('a')).toEqual([]);
    expect(bench.instants('b')).toEqual([65]);
  });

  it('takes a cancelled request out of the prefill queue', () => {
    const bench = new Bench(STACK);
    bench.submit('a', { at: 0, prompt: 100, output: 1 });
    const b = bench.submit('b', { at: 10, prompt: 500, output: 1 });
    bench.submit('c', { at: 20, prompt: 20, output: 1 });
    bench.engine.cancel(b);
    bench.runTo(1_000);
    expect(bench.instants('c')).toEqual([125]);
  });

  it('gives the room of a cancelled stream to who waits for it, at that instant', () => {
    const bench = new Bench({ ...STACK, kvTokens: 210 });
    const a = bench.submit('a', { at: 0, prompt: 100, output: 100 });
    bench.submit('b', { at: 0, prompt: 10, output: 1 });
    bench.runTo(300);
    expect(bench.instants('b')).toEqual([]);
    bench.engine.cancel(a);
    expect(bench.instants('b')).toEqual([300]);
    expect(bench.engine.gauges.kvTokens).toBe(0);
  });

  it('lets a stream be cancelled by what it emits', () => {
    const bench = new Bench(STACK);
    let ticket: Ticket | null = null;
    const instants: number[] = [];
    bench.submit('a', { at: 0, prompt: 10, output: 5 });
    ticket = bench.engine.submit({
      arrivedAtMs: 0,
      promptTokens: 10,
      cachedTokens: 0,
      outputTokens: 5,
      maxTokens: 5,
      emit: (_tokens, _last, atMs) => {
        instants.push(atMs);
        if (instants.length === 2) bench.engine.cancel(ticket!);
      },
    });
    bench.runTo(1_000);
    // a: first token at 15, alone in a step to 27; the other: first token at 25, in a step of two to 41.
    expect(instants).toEqual([25, 41]);
    expect(bench.instants('a')).toEqual([15, 27, 41, 53, 65]);
    expect(bench.engine.gauges).toEqual({ running: 0, waiting: 0, kvTokens: 0 });
  });

  it('comes to the same instants however late it is advanced, within its KV cache, with all tokens', () => {
    const ask = fc.record({
      gap: fc.integer({ min: 0, max: 40 }),
      prompt: fc.integer({ min: 1, max: 60 }),
      output: fc.integer({ min: 1, max: 30 }),
    });
    fc.assert(
      fc.property(fc.array(ask, { minLength: 1, maxLength: 20 }), fc.boolean(), (asks, jitter) => {
        const timing = { ...STACK, kvTokens: 100, jitterRatio: jitter ? 0.2 : 0, tokensPerStep: [1, 3] };
        const prompt = new Bench(timing);
        const lazy = new Bench(timing);
        let at = 0;
        asks.forEach((one, i) => {
          at += one.gap;
          prompt.submit(String(i), { at, ...one });
          expect(prompt.engine.gauges.kvTokens).toBeLessThanOrEqual(100);
          lazy.nowMs = at;
          lazy.engine.submit({
            arrivedAtMs: at,
            promptTokens: one.prompt,
            cachedTokens: 0,
            outputTokens: one.output,
            maxTokens: one.output,
            emit: (tokens, last, atMs) => lazy.emitted.push({ name: String(i), tokens, last, atMs }),
          });
        });
        prompt.runTo(1e6);
        lazy.nowMs = 1e6;
        lazy.engine.advance();
        expect(lazy.emitted).toEqual(prompt.emitted);
        asks.forEach((one, i) => {
          const mine = prompt.emitted.filter((event) => event.name === String(i));
          expect(mine.reduce((total, event) => total + event.tokens, 0)).toBe(one.output);
          expect(mine.map((event) => event.last).lastIndexOf(true)).toBe(mine.length - 1);
        });
      }),
      { numRuns: 200 },
    );
  });
});

describe('jitter', () => {
  const runWith = (timing: Timing): number[] => {
    const bench = new Bench(timing);
    bench.submit('a', { at: 0, prompt: 100, output: 20 });
    bench.runTo(10_000);
    return bench.instants('a');
  };

  it.each([
    ['fixed schedule', FIXED],
    ['simulated stack', STACK],
  ])('of the %s repeats with its seed and changes with it', (_name, timing) => {
    const one = runWith({ ...timing, jitterRatio: 0.1, seed: 7 });
    expect(runWith({ ...timing, jitterRatio: 0.1, seed: 7 })).toEqual(one);
    expect(runWith({ ...timing, jitterRatio: 0.1, seed: 8 })).not.toEqual(one);
    expect(runWith(timing)).not.toEqual(one);
  });

  it('is lognormal with median 1 and the sigma asked for', () => {
    const ratio = jitterSource(0.5, 'test');
    const logs = Array.from({ length: 20_000 }, () => Math.log(ratio())).sort((a, b) => a - b);
    const mean = logs.reduce((total, value) => total + value, 0) / logs.length;
    const sd = Math.sqrt(logs.reduce((total, value) => total + (value - mean) ** 2, 0) / logs.length);
    // Five standard errors: 0.5 / √20000 for the mean, 0.5 / √40000 for the deviation.
    expect(Math.abs(mean)).toBeLessThan(0.018);
    expect(Math.abs(sd - 0.5)).toBeLessThan(0.0125);
    // 97.7 % of a normal distribution lie below mean + 2 sigma.
    expect(logs[Math.floor(0.97725 * logs.length)]).toBeGreaterThan(0.95);
    expect(logs[Math.floor(0.97725 * logs.length)]).toBeLessThan(1.05);
  });
});
