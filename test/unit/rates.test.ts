import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makePoints } from '../../src/commands/levels.ts';
import { parseLoads } from '../../src/commands/rates.ts';
import type { PointSpec, PromptSpec } from '../../src/core/spec.ts';
import { refusal } from '../fixtures/refusal.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'rates-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PROMPTS: PromptSpec = {
  ...{ tokenizer: 'embedded', islCounts: 'prompt', rangeRatio: 1, text: 'words', seed: 1, salt: 's' },
};
type Args = Parameters<typeof parseLoads>[0];

function choose(args: Partial<Args>): ReturnType<typeof parseLoads> {
  const none = Object.fromEntries(
    [
      'arrival',
      'rate',
      'rate-from',
      'burstiness',
      'slowdown',
      'trace-unit',
      'max-in-flight',
      'concurrency',
    ].map((name) => [name, undefined]),
  );
  const rest = { requests: undefined, duration: undefined, warmup: undefined, 'dataset-path': undefined };
  return parseLoads(
    { ...none, ...rest, 'requests-per-concurrency': 4, ...args } as unknown as Args,
    PROMPTS,
    '1,2',
  );
}

function points(args: Partial<Args>): PointSpec[] {
  return makePoints([{ isl: 10, osl: 5 }], choose(args).loads);
}

describe('the load of a command line', () => {
  it('is closed by default, at the default levels', () => {
    expect(choose({}).arrival).toBe('closed');
    expect(points({}).map(({ concurrency, requests }) => [concurrency, requests])).toEqual([
      [1, 4],
      [2, 8],
    ]);
  });

  it('is Poisson where a rate is all that is said', () => {
    expect(choose({ rate: '4' })).toMatchObject({ arrival: 'poisson', arrivalShape: {} });
  });

  it('has a point per rate, ranges and decimals included', () => {
    expect(points({ rate: '0.5,1..8x2,10..30+10', requests: 9 }).map(({ ratePerS }) => ratePerS)).toEqual([
      0.5, 1, 2, 4, 8, 10, 20, 30,
    ]);
  });

  it('sends for a minute by default, and has as many requests as are due in it', () => {
    const [point] = points({ arrival: 'constant', rate: '2.5' });
    expect(point).toMatchObject({ requests: 150, durationMs: 60_000, concurrency: 150, warmup: 3 });
    const [short] = points({ arrival: 'constant', rate: '2.5', duration: '2s' });
    expect(short).toMatchObject({ requests: 5, durationMs: 2_000 });
    const [counted] = points({ arrival: 'constant', rate: '100', requests: 7 });
    expect(counted).toMatchObject({ requests: 7, durationMs: null, warmup: 32 });
  });

  it('has as many slots as requests, 4,096 at most, or as are given', () => {
    const slots = (args: Partial<Args>): number => points({ rate: '100', ...args })[0]!.concurrency;
    expect(slots({ requests: 20 })).toBe(20);
    expect(slots({ requests: 10_000 })).toBe(4_096);
    expect(slots({ requests: 10_000, 'max-in-flight': 8 })).toBe(8);
  });

  it('keeps what shapes each arrival', () => {
    expect(choose({ arrival: 'gamma', rate: '4', burstiness: 0.5 }).arrivalShape).toEqual({
      burstiness: 0.5,
    });
    expect(choose({ arrival: 'gamma', rate: '4' }).arrivalShape).toEqual({ burstiness: 1 });
    expect(choose({ arrival: 'ramp', rate: '4', 'rate-from': 1 }).arrivalShape).toEqual({ fromPerS: 1 });
  });

  it('of a trace is as long as its rows say, in the unit that is given', () => {
    const file = path.join(folder, 'trace.jsonl');
    const row = (timestamp: number): string =>
      JSON.stringify({ timestamp, input_length: 10, output_length: 2, hash_ids: [1] });
    writeFileSync(file, [3, 3.5, 5, 9].map(row).join('\n'));
    const trace = { arrival: 'trace', 'dataset-path': file };
    expect(choose(trace).arrivalShape).toEqual({
      tracePath: file,
      slowdown: 1,
      traceRows: 4,
      traceSpanMs: 6,
    });
    const inSeconds = choose({ ...trace, 'trace-unit': 's', slowdown: 2, requests: 3 });
    expect(inSeconds.arrivalShape).toEqual({
      ...{ tracePath: file, traceUnit: 's', slowdown: 2 },
      ...{ traceRows: 4, traceSpanMs: 12_000 },
    });
    const [point] = makePoints([{ isl: 10, osl: 5 }], inSeconds.loads);
    expect(point).toMatchObject({ isl: 10, osl: 5, requests: 3, ratePerS: 0.75, durationMs: null });
    expect(points({ ...trace, duration: '2.5ms' })[0]).toMatchObject({ requests: 3 });
    expect(() => choose({ ...trace, requests: 5 })).toThrow('--requests: 5 is more than the 4 rows');
  });

  it.each([
    [{ rate: '0' }, '--rate: 0 is outside 0.001 to 100000'],
    [{ rate: '-1' }, '--rate: "-1" is no rate'],
    [{ rate: '100001' }, '--rate: 100001 is outside 0.001 to 100000'],
    [{ concurrency: '65537' }, '--concurrency: 65537 is outside 1 to 65536'],
    [{ concurrency: '1..10001' }, '--concurrency: "1..10001" has more than 10000 values'],
    [{ requests: 1e20 }, '--requests: 100000000000000000000 is above 9007199254740991'],
    [{ rate: '2,2' }, '--rate: 2 is named twice'],
    [{ rate: '1..x' }, '--rate: "1..x" is no rate'],
    [{ rate: '4..2' }, '--rate: "4..2" does not rise'],
    [{ rate: '0.5..4x1' }, 'does not rise'],
    [{ arrival: 'poisson' }, '--arrival poisson: the rate is missing'],
    [{ arrival: 'closed', rate: '4' }, '--rate: --arrival closed has no use for it'],
    [{ rate: '4', concurrency: '8' }, '--concurrency: --arrival poisson has no use for it'],
    [{ burstiness: 1 }, '--burstiness: --arrival closed has no use for it'],
    [{ rate: '4', burstiness: 1 }, '--burstiness: --arrival poisson has no use for it'],
    [{ arrival: 'gamma', rate: '4', burstiness: 0 }, '--burstiness: 0 is outside'],
    [{ arrival: 'ramp', rate: '4', 'rate-from': -1 }, '--rate-from: -1 is outside'],
    [{ rate: '4', 'max-in-flight': 0 }, '--max-in-flight: 0 is no whole number from 1 on'],
    [{ 'max-in-flight': 4 }, '--max-in-flight: --arrival closed has no use for it'],
    [{ rate: '4', requests: 5, duration: '5s' }, '--requests and --duration exclude each other'],
    [{ arrival: 'trace' }, '--arrival trace: the trace is missing'],
    [{ arrival: 'trace', rate: '4' }, '--rate: --arrival trace has no use for it'],
    [{ 'trace-unit': 's' }, '--trace-unit: --arrival closed has no use for it'],
    [{ arrival: 'constant', rate: '100000', duration: '1h' }, 'are more than 1000000 requests'],
  ] satisfies [Partial<Args>, string][])('%j is refused', (args, message) => {
    expect(() => points(args)).toThrow(message);
  });

  it.each([
    [{ rate: '0.0001' }, 'give 0.001 or more requests per second'],
    [{ rate: '100001' }, 'give at most 100000 requests per second'],
    [{ concurrency: '0' }, 'give 1 or more requests in flight'],
    [{ concurrency: '100000' }, 'give at most 65536 requests in flight'],
    [{ requests: 0 }, 'give a whole number, 1 or more'],
    [{ requests: 1e20 }, 'give a smaller number'],
  ] satisfies [Partial<Args>, string][])('%j is answered by its own bound', (args, hint) => {
    expect(refusal(() => points(args)).hint).toBe(hint);
  });

  it('takes the bounds themselves', () => {
    expect(points({ concurrency: '65536' })[0]!.concurrency).toBe(65_536);
    expect(points({ concurrency: '1..10000' })).toHaveLength(10_000);
    expect(points({ rate: '100000', requests: 5 })[0]!.ratePerS).toBe(100_000);
  });

  it('refuses a time in which nothing is due', () => {
    expect(() => points({ rate: '0.01', duration: '1s' })).toThrow(
      'no request is due within it at 0.01 a second',
    );
  });
});
