import { describe, expect, it } from 'vitest';
import { type GateResult, judgeGate } from '../../src/core/gate.ts';
import type { Repeat } from '../../src/core/repeat.ts';
import { gateAnnotations } from '../../src/exporters/gate-annotations.ts';
import { gateJunit } from '../../src/exporters/gate-junit.ts';
import { gateMarkdown } from '../../src/exporters/gate-markdown.ts';
import { renderGate } from '../../src/exporters/gate-table.ts';
import { makeRepeat, makeRepeatLevel } from '../fixtures/repeats.ts';

/** TTFT fails, the limit is inconclusive, the throughput passes; a tag tells of dangerous characters. */
function result(): GateResult {
  const side = (ttft: number, tag: string): Repeat[] =>
    [1, 1.01, 0.99, 1.005].map((noise, nth) =>
      makeRepeat(
        [
          makeRepeatLevel(8, {
            'ttftMs.p50': ttft * noise,
            'itlMs.p95': 20 * noise,
            outputTokensPerS: 800 * noise,
          }),
        ],
        { facts: [['tag <b>|x', tag]], utc: `2026-06-01T00:0${nth}:00.000Z` },
      ),
    );
  const rule = { level: null, worseRatio: 0.05, limit: null };
  return judgeGate(
    { baseline: side(100, 'old'), anchor: null, candidate: side(120, 'a & "b"') },
    {
      rules: [
        { ...rule, metric: 'ttftMs.p50' },
        { ...rule, metric: 'outputTokensPerS' },
        { ...rule, metric: 'itlMs.p95', worseRatio: null, limit: 20.05 },
      ],
      maxFailureRatio: 0,
      requireValid: false,
      requireExact: false,
    },
  );
}

it('is a page with each check, and why what did not pass did not', () => {
  const page = renderGate(result(), { colour: false, width: 160 });
  expect(page).toContain(
    'gate  FAIL  candidate of 4 runs against a baseline of 4 runs: 3 passed, 1 failed, 1 inconclusive',
  );
  expect(page).toMatch(/fail +ttftMs\.p50 +all levels +baseline +100 +120 +\+20\.0 %/);
  expect(page).toMatch(/pass +outputTokensPerS/);
  expect(page).toMatch(
    /! failed +ttftMs\.p50, all levels, against the baseline: worse by 20 %, which is beyond 5 %/,
  );
  expect(page).toMatch(/inconclusive +itlMs\.p95, 4,000×1,000 C=8, limit: /);
  expect(page).toContain('differs       tag <b>|x: old → a & "b"');
});

it('is Markdown that no text from outside can break', () => {
  const text = gateMarkdown(result());
  expect(text).toMatch(/^### bench gate: ❌ fail\n/);
  const rows = text.split('\n').filter((line) => line.startsWith('| '));
  // Heading and five checks, all of as many cells.
  expect(rows).toHaveLength(6);
  expect(new Set(rows.map((row) => row.split(/(?<!\\)\|/).length))).toEqual(new Set([11]));
  expect(text).toContain('differs: `tag <b>|x: old → a & "b"`');
});

it('of a gate that is inconclusive says that nothing was shown, and of another does not', () => {
  const failed = result();
  const checks = failed.checks.filter(({ verdict }) => verdict !== 'fail');
  const inconclusive = { ...failed, verdict: 'inconclusive' as const, checks };
  const line =
    'nothing was shown by 1 of 4 checks: neither that something became worse nor that it did not (exit 0, or 6 with --fail-inconclusive)';
  const style = { colour: false, width: 400 };
  expect(renderGate(inconclusive, style)).toContain(`! not shown   ${line}`);
  expect(gateMarkdown(inconclusive)).toContain(`- ${line}`);
  for (const other of [failed, { ...inconclusive, verdict: 'pass' as const }]) {
    expect(renderGate(other, style)).not.toContain('nothing was shown');
    expect(gateMarkdown(other)).not.toContain('nothing was shown');
  }
});

describe('JUnit XML', () => {
  it('has a case for each check', () => {
    const xml = gateJunit(result(), false);
    expect(xml).toContain('tests="5" failures="1" errors="0" skipped="1"');
    expect(xml).toMatch(
      /<testcase classname="bench\.gate\.baseline" name="ttftMs\.p50, all levels, against the baseline" time="0">\n {6}<failure message="fail: worse by 20 %/,
    );
    expect(xml).toMatch(/<skipped message="inconclusive: /);
    expect(gateJunit(result(), true)).toContain('failures="2" errors="0" skipped="0"');
  });

  it('is well-formed whatever the texts are', () => {
    const one = result();
    const check = { ...one.checks[0]!, name: '<a href="x">&\u0007', verdict: 'fail' as const, why: '"<&>' };
    const xml = gateJunit({ ...one, checks: [check] }, false);
    expect(xml).toContain('name="runs: &lt;a href=&quot;x&quot;&gt;&amp;\\x07"');
    expect(xml).toContain('message="fail: &quot;&lt;&amp;&gt; (asked: ');
    expect(xml).not.toContain('\u0007');
  });
});

it('is annotations of GitHub, a line for each that did not pass', () => {
  const lines = gateAnnotations(result(), false).trimEnd().split('\n');
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^::error title=bench gate%3A fail::ttftMs\.p50, all levels, .* worse by 20 %25/);
  expect(lines[1]).toMatch(/^::warning title=bench gate%3A inconclusive::itlMs\.p95/);
  expect(gateAnnotations(result(), true).match(/^::error/gm)).toHaveLength(2);
  const passed = { ...result(), checks: [] };
  expect(gateAnnotations(passed, false)).toBe('');
});
