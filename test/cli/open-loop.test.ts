import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { bench, newOut, readRecordLines, readRun } from '../fixtures/cli.ts';

describe('bench sweep over rates', () => {
  it('sends by the schedule, holds what finds no slot, and tells both', async () => {
    const out = newOut();
    const ended = await bench([
      ...['sweep', '--mock', '--mock-flags', '--ttft 20ms --step 10ms', '--isl', '20', '--osl', '5'],
      ...['--arrival', 'constant', '--rate', '4,50', '--requests', '12', '--max-in-flight', '2'],
      ...['--pause', '0s', '--warmup', '1', '--out', out],
    ]);
    expect(ended).toMatchObject({ code: 0 });
    const { report } = readRun(out);
    expect(report.levels.map(({ ratePerS }) => ratePerS)).toEqual([4, 50]);
    const records = readRecordLines(path.join(out, 'records.ndjson')).filter(
      ({ phase }) => phase === 'measured',
    );
    const [calm, full] = [0, 1].map((point) =>
      records.filter((record) => record.point === point).toSorted((a, b) => a.id - b.id),
    ) as [typeof records, typeof records];
    for (const [ones, gapMs] of [
      [calm, 250],
      [full, 20],
    ] as const) {
      const dueMs = ones.map(({ dueAtMs }) => dueAtMs - ones[0]!.dueAtMs);
      for (const [nth, ms] of dueMs.entries()) expect(ms).toBeCloseTo(nth * gapMs, 2);
      for (const { sentAtMs, dueAtMs, heldMs } of ones)
        expect(sentAtMs).toBeGreaterThanOrEqual(dueAtMs + heldMs!);
    }
    // An answer takes 60 ms: at 4 a second both slots are never taken, at 50 a second two fill them and the others wait.
    expect(calm.map(({ heldMs }) => heldMs)).toEqual(Array(12).fill(0));
    expect(report.levels[0]!.open).toMatchObject({
      slots: 2,
      held: { count: 0, maxMs: null },
    });
    expect(report.levels[1]!.open).toMatchObject({ maxInFlight: 2, slots: 2, held: { count: 10 } });
    for (const [nth, { sentAtMs, heldMs }] of full.entries()) {
      expect(heldMs! > 0).toBe(nth >= 2);
      if (nth >= 2) expect(sentAtMs).toBeGreaterThanOrEqual(full[nth - 2]!.endAtMs);
    }
    // The last was due at 220 ms and had five pairs of answers before it.
    const last = full.at(-1)!;
    expect(last.firstAtMs! - last.dueAtMs).toBeGreaterThan(5 * 60 + 20 - 220);
    expect(report.levels[1]!.open!.ttftFromDueMs.max).toBeCloseTo(
      Math.max(...full.map(({ firstAtMs, dueAtMs }) => firstAtMs! - dueAtMs)),
      1,
    );
    expect(report.levels[1]!.ttftMs.p50!).toBeLessThan(report.levels[1]!.open!.ttftFromDueMs.p50!);
    expect(ended.stdout).toMatch(/^ +req\/s /m);
    expect(ended.stdout).toContain('10 requests waited for one of the 2 slots');
    const [head, , row] = readFileSync(path.join(out, 'summary.csv'), 'utf8')
      .split('\n')
      .map((line) => line.split(','));
    expect(row![head!.indexOf('ratePerS')]).toBe('50');
    expect(row![head!.indexOf('open.held.count')]).toBe('10');
  });
});
