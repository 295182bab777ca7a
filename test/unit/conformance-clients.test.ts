import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CASES } from '../../src/commands/conformance/cases.ts';
import type { Task } from '../../src/commands/conformance/client.ts';
import { CLIENTS } from '../../src/commands/conformance/clients.ts';
import { AIPERF, GUIDELLM, sglangLine, VLLM } from '../fixtures/foreign.ts';

const work = mkdtempSync(path.join(os.tmpdir(), 'conformance-test-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const of = CASES.find(({ name }) => name === 'usual')!;

function client(name: string) {
  return CLIENTS.find((one) => one.name === name)!;
}

function taskIn(dir: string): Task {
  mkdirSync(path.join(work, dir), { recursive: true });
  return { url: 'http://127.0.0.1:1', of, dir: path.join(work, dir), tokenizer: '/tokenizer' };
}

describe('what a client left behind', () => {
  it.each([
    [
      'sglang',
      'result.jsonl',
      sglangLine('2026-06'),
      { good: 5, failed: null, outputTokens: 28 },
      { ttftMs: 369, itlMs: 37.391304, tpotMs: 40.567619, e2eMs: 541.5 },
    ],
    [
      'sglang-rust',
      'result.jsonl',
      sglangLine('2026-06'),
      { good: 5, failed: null, outputTokens: 28 },
      { ttftMs: 369, itlMs: 37.391304, tpotMs: 40.567619, e2eMs: 541.5 },
    ],
    [
      'aiperf',
      'profile_export_aiperf.json',
      JSON.stringify(AIPERF),
      { good: 12, failed: 0, outputTokens: 192 },
      { ttftMs: 57.23, itlMs: 5.04, tpotMs: 5.03, e2eMs: 132.66 },
    ],
    [
      'guidellm',
      'benchmarks.json',
      JSON.stringify(GUIDELLM),
      { good: 12, failed: 1, outputTokens: 192 },
      { ttftMs: 57.2, itlMs: 5.03, tpotMs: 8.3, e2eMs: 132.7 },
    ],
    [
      'vllm',
      'result.json',
      JSON.stringify(VLLM),
      { good: 98, failed: 2, outputTokens: 9_800 },
      { ttftMs: 120.5, itlMs: 11.5, tpotMs: 10.5, e2eMs: undefined },
    ],
  ])('%s is read from %s', (name, file, text, counts, means) => {
    const task = taskIn(name);
    writeFileSync(path.join(task.dir, file), text);
    const { told, chosen } = client(name).read(task);
    expect(told).toMatchObject(counts);
    for (const [metric, mean] of Object.entries(means)) {
      const told_ = told.latencies[metric as keyof typeof means]?.['mean'];
      if (mean === undefined) expect(told_).toBeUndefined();
      else expect(told_).toBeCloseTo(mean, 6);
    }
    // Warm-up and probes come before.
    expect(chosen).toEqual({ last: of.requests });
  });

  it.each(CLIENTS.map(({ name }) => name))('%s without a result is no result', (name) => {
    expect(() => client(name).read(taskIn(`${name}-empty`))).toThrow();
  });
});

describe('the arguments of a client', () => {
  it.each(CLIENTS.map(({ name }) => name))('%s have the load of the case', (name) => {
    const words = client(name).args(taskIn(name)).join(' ');
    expect(words).toContain('http://127.0.0.1:1');
    for (const number of [of.concurrency, of.requests, of.isl, of.osl])
      expect(words).toMatch(new RegExp(`\\b${number}\\b`));
  });
});

describe('a client that is not installed', () => {
  it.each([
    ['aiperf', 'BENCH_AIPERF'],
    ['guidellm', 'BENCH_GUIDELLM'],
    ['vllm', 'BENCH_VLLM'],
    ['sglang', 'BENCH_SGLANG_PYTHON'],
    ['sglang-rust', 'BENCH_SGLANG_PYTHON'],
  ])('%s is told with the variable that names it', (name, variable) => {
    const before = process.env[variable];
    process.env[variable] = '/nowhere/at/all';
    try {
      expect(client(name).find()).toBe(`${variable} is /nowhere/at/all, which is no program`);
    } finally {
      if (before === undefined) delete process.env[variable];
      else process.env[variable] = before;
    }
  });

  it('is found on PATH, else said to be missing there', () => {
    const before = process.env['PATH'];
    const program = path.join(work, 'aiperf-bin');
    mkdirSync(program);
    process.env['PATH'] = program;
    try {
      expect(client('aiperf').find()).toContain('no aiperf on PATH');
      writeFileSync(path.join(program, 'aiperf'), '#!/bin/sh\n', { mode: 0o755 });
      expect(client('aiperf').find()).toEqual({ words: [path.join(program, 'aiperf')], env: {} });
    } finally {
      process.env['PATH'] = before;
    }
  });
});
