import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Report } from '../../src/core/report.ts';
import { bench, makeFolder, parseReport } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

const SAMPLE = path.resolve('results/sample');
const NOISE = [1, 1.01, 0.99, 1.005];

/** A folder of runs like the one that comes with bench, valid and complete, their times these times as long. */
function runs(
  factors: readonly number[],
  patch: (report: Report, nth: number) => Report = (report) => report,
): string {
  const folder = makeFolder();
  const report = parseReport(readFileSync(path.join(SAMPLE, 'report.json'), 'utf8'));
  for (const [nth, factor] of factors.entries()) {
    const changed = patch(
      {
        ...report,
        origin: { ...report.origin, utc: `2026-06-01T00:0${nth}:00.000Z` },
        spec: { ...report.spec, repeat: { set: folder, number: nth + 1, of: factors.length } },
        levels: report.levels.map((level) => ({
          ...level,
          validity: { verdict: 'valid', reasons: [] },
          ttftMs: { ...level.ttftMs, p50: level.ttftMs.p50! * factor },
          outputTokensPerS: level.outputTokensPerS! / factor,
        })),
      },
      nth,
    );
    mkdirSync(path.join(folder, `${nth}`));
    writeFileSync(path.join(folder, `${nth}`, 'report.json'), JSON.stringify(changed));
  }
  return folder;
}

function policyFile(text: string): string {
  const file = path.join(makeFolder(), 'gate.yaml');
  writeFileSync(file, text);
  return file;
}

const POLICY = policyFile(
  'metrics: {ttftMs.p50: {max_increase: 10%}, outputTokensPerS: {max_decrease: 5%}}\n',
);

async function makeBaseline(folder: string): Promise<string> {
  const file = path.join(makeFolder(), 'baseline.json');
  const made = await bench(['gate', folder, '--update', '--baseline', file]);
  expect(made).toMatchObject({ code: 0, stderr: '' });
  return file;
}

it('passes what is like the baseline and fails what is not, in each form', async () => {
  const baseline = await makeBaseline(runs(NOISE));
  const gate = (folder: string, words: readonly string[] = [], env: Record<string, string> = {}) =>
    benchHere(['gate', folder, '--baseline', baseline, '--policy', POLICY, ...words], { env });
  const same = await gate(runs(NOISE.toReversed()));
  expect(same).toMatchObject({ code: 0, stderr: '' });
  expect(same.stdout).toContain('gate  PASS');
  expect(same.stdout).not.toContain('::');

  const folder = makeFolder();
  const junit = path.join(folder, 'gate.xml');
  const summary = path.join(folder, 'summary.md');
  writeFileSync(summary, 'before\n');
  const slower = runs(NOISE.map((factor) => factor * 1.2));
  const failed = await gate(slower, ['--junit', junit], {
    GITHUB_STEP_SUMMARY: summary,
    GITHUB_ACTIONS: 'true',
  });
  expect(failed.code).toBe(1);
  expect(failed.stdout).toContain('gate  FAIL');
  expect(failed.stdout).toMatch(/^::error title=bench gate%3A fail::ttftMs\.p50, all levels/m);
  expect(readFileSync(summary, 'utf8')).toMatch(/^before\n### bench gate: ❌ fail\n/);
  // Read by an XML parser that is not ours.
  const cases = execFileSync('python3', [
    '-c',
    'import sys, xml.etree.ElementTree as e\nfor c in e.parse(sys.argv[1]).iter("testcase"): print(c.get("name"), [x.tag for x in c])',
    junit,
  ]).toString();
  expect(cases).toContain("ttftMs.p50, all levels, against the baseline ['failure']");
  expect(cases).toContain('runs: complete []');

  const json = await gate(slower, ['--format', 'json', '--annotations', 'always']);
  expect(json.code).toBe(1);
  expect(json.stderr).toContain('::error ');
  expect(JSON.parse(json.stdout)).toMatchObject({
    verdict: 'fail',
    baseline: { repeats: { base: 4, cand: 4 } },
  });
  expect((await gate(slower, ['--format', 'markdown'])).stdout).toMatch(/^### bench gate: ❌ fail/);
});

it('fails runs that were cut, with a verdict in each form', async () => {
  const baseline = await makeBaseline(runs(NOISE));
  const cut = runs(NOISE, (report, nth) =>
    nth < 3 ? report : { ...report, status: 'interrupted', levels: report.levels.slice(0, 2) },
  );
  const junit = path.join(makeFolder(), 'gate.xml');
  const summary = path.join(makeFolder(), 'summary.md');
  const ended = await benchHere([
    ...['gate', cut, '--baseline', baseline, '--policy', POLICY],
    ...['--junit', junit, '--summary', summary],
  ]);
  expect(ended.code).toBe(1);
  expect(ended.stdout).toMatch(
    /! failed +runs: complete: the run of 2026-06-01T00:03:00\.000Z is interrupted; 1000x100 C=4 is skipped/,
  );
  expect(readFileSync(junit, 'utf8')).toContain('type="fail"');
  expect(readFileSync(summary, 'utf8')).toContain('❌ fail');
});

it('does not judge a single run, exit 2, until three days are known', async () => {
  const day = (nth: number, factor: number): string =>
    runs([factor], (report) => ({
      ...report,
      origin: { ...report.origin, utc: `2026-06-1${nth}T00:00:00.000Z` },
    }));
  const baseline = await makeBaseline(day(0, 1));
  const gate = (factor: number, words: readonly string[] = []) =>
    benchHere(['gate', day(9, factor), '--baseline', baseline, '--policy', POLICY, ...words]);
  expect(await gate(2.5)).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('at least 3 repeats a side are needed'),
  });
  for (let nth = 1; nth < 3; nth++) {
    const added = await benchHere([
      'gate',
      day(nth, NOISE[nth % 4]!),
      '--update',
      '--add',
      '--baseline',
      baseline,
    ]);
    expect(added).toMatchObject({ code: 0, stdout: expect.stringContaining(`has ${nth + 1} runs of`) });
  }
  expect(await gate(2.5)).toMatchObject({ code: 1, stdout: expect.stringContaining('gate  FAIL') });
  const small = await gate(1.045);
  expect(small).toMatchObject({ code: 0, stdout: expect.stringContaining('gate  INCONCLUSIVE') });
  expect(small.stdout).toMatch(/! not shown +nothing was shown by \d of \d checks/);
  expect((await gate(1.045, ['--fail-inconclusive'])).code).toBe(6);
});

it('fails a gross change with three runs a side, by the default rules and by a policy without any', async () => {
  const slower = (factor: number): string =>
    runs(NOISE.slice(0, 3), (report) => ({
      ...report,
      levels: report.levels.map((level) => ({
        ...level,
        validity: { verdict: 'suspect', reasons: ['late'] },
        tpotMs: { ...level.tpotMs, p50: level.tpotMs.p50! * factor },
      })),
    }));
  const policy = policyFile('require_valid: false\n');
  const baseline = path.join(makeFolder(), 'baseline.json');
  const words = ['--baseline', baseline, '--policy', policy];
  expect(await benchHere(['gate', slower(1), '--update', ...words])).toMatchObject({ code: 0 });
  expect(await benchHere(['gate', slower(1), ...words])).toMatchObject({ code: 0 });
  const failed = await benchHere(['gate', slower(2.5), ...words]);
  expect(failed).toMatchObject({ code: 1, stdout: expect.stringContaining('gate  FAIL') });
  expect(failed.stdout).toMatch(/! failed +tpotMs\.p50, all levels, .* worse by 150 %/);
  // The runs are suspect, which the default minds.
  const strict = await benchHere(['gate', slower(1), '--baseline', baseline]);
  expect(strict).toMatchObject({ code: 1, stdout: expect.stringMatching(/! failed +runs: valid/) });
});

it('holds runs against an anchor too', async () => {
  const [anchor, baseline] = [
    await makeBaseline(runs(NOISE)),
    await makeBaseline(runs(NOISE.map((one) => one * 1.08))),
  ];
  const candidate = runs(NOISE.map((one) => one * 1.12));
  const args = ['gate', candidate, '--baseline', baseline, '--policy', POLICY];
  expect(await benchHere(args)).toMatchObject({ code: 0, stdout: expect.not.stringContaining('anchor') });
  const anchored = await benchHere([...args, '--anchor', anchor]);
  expect(anchored.code).toBe(1);
  expect(anchored.stdout).toMatch(/fail +ttftMs\.p50 +all levels +anchor/);
});

describe('what is no gate', () => {
  const suspect = (report: Report): Report => ({
    ...report,
    levels: report.levels.map((level) => ({ ...level, validity: { verdict: 'suspect', reasons: ['late'] } })),
  });

  it.each([
    ['no baseline', ['--baseline', 'nowhere.json'], 'there is no nowhere.json'],
    [
      'the same run twice',
      [path.join(SAMPLE, 'report.json'), '--baseline', SAMPLE],
      'is twice in the candidate',
    ],
    [
      '--junit with --update',
      ['--baseline', 'b.json', '--update', '--junit', 'x'],
      '--junit: nothing is judged',
    ],
    ['--add alone', ['--baseline', SAMPLE, '--add'], '--add: nothing is updated'],
    [
      'a policy that is not there',
      ['--baseline', SAMPLE, '--policy', 'no.yaml'],
      '--policy: cannot read no.yaml',
    ],
    ['a baseline that is none', ['--baseline', path.resolve('package.json')], 'is no report of bench'],
  ])('%s: exit 2 where it is refused', async (_, words, message) => {
    const ended = await benchHere(['gate', SAMPLE, ...words]);
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
  });

  it('is made in place of no other file', async () => {
    const folder = runs(NOISE);
    const file = path.join(folder, '0', 'report.json');
    const before = readFileSync(file, 'utf8');
    const refused = await benchHere(['gate', folder, '--update', '--baseline', file]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('is no baseline') });
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  it('is made of no run that is suspect, and an older baseline stays as it was', async () => {
    const baseline = await makeBaseline(runs(NOISE));
    const before = readFileSync(baseline, 'utf8');
    const refused = await benchHere(['gate', runs(NOISE, suspect), '--update', '--baseline', baseline]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('is suspect') });
    expect(readFileSync(baseline, 'utf8')).toBe(before);
    const other = path.join(makeFolder(), 'missing', 'b.json');
    const unwritable = await benchHere(['gate', runs(NOISE), '--update', '--baseline', other]);
    expect(unwritable).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--baseline: cannot write'),
    });
    expect(existsSync(other)).toBe(false);
  });
});
