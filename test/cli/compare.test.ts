import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { ManyComparison } from '../../src/core/compare-many.ts';
import type { Report } from '../../src/core/report.ts';
import { bench, makeFolder, parseReport } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

const SAMPLE = path.resolve('results/sample');
const NO_RUN = path.resolve('src');

/** A folder of runs like the one that comes with bench, their TTFT p50 times these. */
function side(factors: readonly number[], hour = 0): string {
  const folder = makeFolder();
  const report = parseReport(readFileSync(path.join(SAMPLE, 'report.json'), 'utf8'));
  for (const [nth, factor] of factors.entries()) {
    const changed: Report = {
      ...report,
      origin: { ...report.origin, utc: `2026-06-01T0${hour}:0${nth}:00.000Z` },
      levels: report.levels.map((level) => ({
        ...level,
        ttftMs: { ...level.ttftMs, p50: level.ttftMs.p50! * factor },
      })),
    };
    mkdirSync(path.join(folder, `r${nth}`));
    writeFileSync(path.join(folder, `r${nth}`, 'report.json'), JSON.stringify(changed));
  }
  return folder;
}

/** Makes a run begin at another time. */
function begun(dir: string, utc: string): void {
  const file = path.join(dir, 'report.json');
  const report = parseReport(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...report, origin: { ...report.origin, utc } }));
}

/** Another run than the sample. */
const OTHER = side([1]);
const NOISE = [1, 1.01, 0.99, 1.005];

it('says of folders of repeats what changed, exit 1 when something is worse', async () => {
  const base = side(NOISE);
  const slower = side(
    NOISE.map((factor) => factor * 1.2),
    1,
  );
  const ended = await bench(['compare', base, slower, '--metric', 'ttftMs.p50']);
  expect(ended).toMatchObject({ code: 1, stderr: '' });
  expect(ended.stdout).toMatch(/all levels +ttftMs\.p50 .*\+20\.0 %.* worse/);
  const back = await bench(['compare', slower, base, '--metric', 'ttftMs.p50', '--format', 'json']);
  expect(back.code).toBe(0);
  expect(JSON.parse(back.stdout)).toMatchObject({
    repeats: { base: 4, cand: 4 },
    singleVariable: true,
    changes: expect.arrayContaining([expect.objectContaining({ level: null, verdict: 'better' })]),
  });
});

it('takes single runs as repeats, and cannot tell from one a side', async () => {
  const one = await bench([
    'compare',
    SAMPLE,
    path.join(side([1]), 'r0', 'report.json'),
    '--metric',
    'e2eMs.p50',
  ]);
  expect(one.code).toBe(0);
  expect(one.stdout).toContain('at least 3 repeats a side are needed, or a baseline made at 3');
  expect(one.stdout).not.toMatch(/ (worse|better|same)$/m);
  const folder = makeFolder();
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  for (const name of names) cpSync(side([1]), path.join(folder, name), { recursive: true });
  const eight = names.map((name) => path.join(folder, name, 'r0'));
  for (const [nth, dir] of eight.entries()) begun(dir, `2026-06-01T00:0${nth}:00.000Z`);
  const more = eight.slice(2).flatMap((dir, nth) => [nth % 2 === 0 ? '--base' : '--cand', dir]);
  const many = await bench(['compare', eight[0]!, eight[1]!, ...more, '--metric', 'e2eMs.p50']);
  expect(many.code).toBe(0);
  expect(many.stdout).toMatch(/all levels +e2eMs\.p50 .* same$/m);
});

it('holds several candidates against one baseline, and makes a page of all', async () => {
  const [base, slower, faster] = [1, 1.2, 0.8].map((ratio, hour) =>
    side(
      NOISE.map((factor) => factor * ratio),
      hour,
    ),
  );
  const file = path.join(makeFolder(), 'page.html');
  const args = [base!, slower!, faster!, '--metric', 'ttftMs.p50'];
  const ended = await bench(['compare', ...args, '--format', 'json', '--html', file]);
  expect(ended).toMatchObject({ code: 1, stderr: '' });
  const { sides, comparisons } = JSON.parse(ended.stdout) as ManyComparison;
  expect(sides.map(({ repeats }) => repeats)).toEqual([4, 4, 4]);
  expect(comparisons.map(({ changes }) => changes[0]!.verdict)).toEqual(['worse', 'better']);
  const page = readFileSync(file, 'utf8');
  expect(page).toMatch(/\+20\.0 % worse.*−20\.0 % better/);
  expect(page).toContain('(Bonferroni)');
});

it('makes no page of a baseline’s file, which holds no distributions', async () => {
  const folder = makeFolder();
  const [baseline, file] = ['baseline.json', 'page.html'].map((name) => path.join(folder, name));
  const policy = path.join(folder, 'gate.yaml');
  writeFileSync(policy, 'require_valid: false\nmetrics: {ttftMs.p50: {max_increase: 10%}}\n');
  const made = await bench(['gate', side(NOISE), '--update', '--baseline', baseline!, '--policy', policy]);
  expect(made.code).toBe(0);
  const ended = await bench(['compare', baseline!, SAMPLE, '--html', file!]);
  expect(ended).toMatchObject({ code: 2, stdout: '' });
  expect(ended.stderr).toContain(`--html: ${baseline} is a baseline, which holds no distributions`);
  expect(existsSync(file!)).toBe(false);
});

it.each([
  [[SAMPLE, 'nowhere'], 'cannot read nowhere'],
  [[SAMPLE, NO_RUN], 'src holds no run'],
  [[SAMPLE, OTHER, '--base', SAMPLE], 'is twice in the baseline'],
  [[SAMPLE, SAMPLE], 'is on two sides: sample (1) and sample (2)'],
  [[SAMPLE], 'the candidate is missing'],
  [[SAMPLE, OTHER, SAMPLE], 'is on two sides: '],
  [[SAMPLE, SAMPLE, SAMPLE, '--cand', SAMPLE], '--cand: there are 2 candidates'],
  [[SAMPLE, OTHER, '--metric', 'ttft'], '"ttft" has no better and no worse'],
  [[SAMPLE, OTHER, '--margin', 'much'], '--margin: "much" is no share'],
])('%j is refused', async (args, word) => {
  const ended = await benchHere(['compare', ...args]);
  expect(ended).toMatchObject({ code: 2, stdout: '' });
  expect(ended.stderr).toContain(word);
});
