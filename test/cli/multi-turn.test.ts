import path from 'node:path';
import { expect, it } from 'vitest';
import { bench, newOut, readRecordLines, readRun } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

it('sends each turn with all that was said before it, and tells what the cache did of each', async () => {
  const out = newOut();
  const ended = await bench([
    ...['run', '--mock', '--mock-flags', '--base-ttft 5ms --prefill-tokens-per-s 100000 --step 1ms'],
    ...['--dataset', 'multi-turn', '--turns', '3', '--turn-isl', '20', '--isl', '100', '--osl', '30'],
    ...['--concurrency', '2', '--requests', '12', '--out', out],
  ]);
  expect(ended.code).toBe(0);
  const records = readRecordLines(path.join(out, 'records.ndjson')).filter(
    ({ phase }) => phase === 'measured',
  );
  const turn = (nth: number) => records.filter((record) => record.turn === nth);
  expect([1, 2, 3].map((nth) => turn(nth).length)).toEqual([4, 4, 4]);
  for (const { isl, cachedTokens } of turn(1)) {
    expect(isl).toEqual({ asked: 100, counted: 100, by: 'usage' });
    expect(cachedTokens).toBe(0);
  }
  for (const { conversation, turn: nth, isl, cachedTokens, sentAtMs } of [...turn(2), ...turn(3)]) {
    const before = records.find((one) => one.conversation === conversation && one.turn === nth! - 1)!;
    expect(sentAtMs).toBeGreaterThanOrEqual(before.endAtMs);
    // The question, the answer and the messages' marks; nobody asked for it beforehand.
    const added = isl.counted! - before.isl.counted!;
    expect(added).toBeGreaterThanOrEqual(20 + 30);
    expect(added).toBeLessThan(20 + 30 + 10);
    expect(isl.asked).toBeNull();
    expect(cachedTokens).toBeGreaterThan(0.6 * before.isl.counted!);
  }
  const { report } = readRun(out);
  expect(report.levels[0]!.turns).toMatchObject([
    { turn: 1, sent: 4, good: 4, meanPromptTokens: 100, cachedRatio: 0 },
    { turn: 2, sent: 4, good: 4 },
    { turn: 3, sent: 4, good: 4 },
  ]);
  expect(report.levels[0]!.islProof).toMatchObject({ unasked: 8, deviations: 0 });
  expect(ended.stdout).toMatch(/turns +TTFT p50: turn 1 .*\(0 % cached\), turn 2 /);
  expect(ended.stdout).toContain('they hold its own answers');
  expect(ended.stdout).not.toContain('WARNING');
});

it.each([
  [['--turns', '1'], '--turns: 1 is no whole number from 2 on'],
  [['--turn-isl', '0'], '--turn-isl: 0 is no whole number from 1 on'],
  [['--requests', '10'], '--requests: 10 are no whole conversations of 4 turns'],
  [['--think-time', '5'], '--think-time'],
  [['--workers', '2'], 'conversations are not shared out'],
  [['--dataset', 'random', '--turns', '3'], '--turns: --dataset random has no use for it'],
])('%j is refused', async (words, message) => {
  const shape = ['--isl', '100', '--osl', '5', '--dry-run'];
  const dataset = words.includes('--dataset') ? [] : ['--dataset', 'multi-turn'];
  const ended = await benchHere(['run', ...shape, ...dataset, ...words]);
  expect(ended).toMatchObject({ code: 2, stdout: '' });
  expect(ended.stderr).toContain(message);
});
