import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { makeFolder, newOut, parseReport } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

/** A run and a baseline as the bench wrote them before definitions had versions and metrics had verdicts. */
const RUN = path.resolve('test/fixtures/stored/run');
const BASELINE = path.resolve('test/fixtures/stored/baseline.json');
/** What that run was asked. */
const ASKED = '--mock --isl 50 --osl 8 --concurrency 1,2 --requests 8 --pause 0s --quiet'.split(' ');

const POLICY = path.join(makeFolder(), 'gate.yaml');
const now = newOut();

beforeAll(async () => {
  writeFileSync(POLICY, 'require_valid: false\nmetrics: {ttftMs.p50: {max_increase: 400%}}\n');
  expect(await benchHere(['sweep', ...ASKED, '--out', now])).toMatchObject({ code: 0 });
});

/** The run made now, all definitions in other words and of the stored versions, but for those given. */
function reworded(versions: Readonly<Record<string, number>>): string {
  const report = parseReport(readFileSync(path.join(now, 'report.json'), 'utf8'));
  const folder = path.join(makeFolder(), 'run');
  const changed = {
    ...report,
    definitions: Object.fromEntries(
      Object.keys(report.definitions).map((term) => [term, `${term}, reworded.`]),
    ),
    definitionVersions: {
      ...Object.fromEntries(Object.keys(report.definitions).map((term) => [term, 1])),
      ...versions,
    },
  };
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'report.json'), JSON.stringify(changed));
  return folder;
}

it('a run of today says which version each of its definitions has', () => {
  const { definitions, definitionVersions } = parseReport(
    readFileSync(path.join(now, 'report.json'), 'utf8'),
  );
  expect(Object.keys(definitionVersions!)).toEqual(Object.keys(definitions));
});

it('a stored run is shown', async () => {
  const shown = await benchHere(['report', RUN]);
  expect(shown).toMatchObject({ code: 0, stderr: '' });
  expect(shown.stdout).toContain('TTFT, ms (8 requests)');
});

it('stored runs and baselines are compared with a run of today whose definitions are reworded', async () => {
  const run = reworded({ validity: 2, 'audit.stampErrorMs': 2 });
  for (const stored of [RUN, BASELINE]) {
    const compared = await benchHere(['compare', stored, run, '--metric', 'ttftMs.p50']);
    expect(compared).toMatchObject({ code: 0, stderr: '' });
    expect(compared.stdout).toMatch(/all levels +ttftMs\.p50/);
    const judged = await benchHere(['gate', run, '--baseline', stored, '--policy', POLICY]);
    // They are alike, and one run a side is too few.
    expect(judged).toMatchObject({ code: 2, stderr: expect.stringContaining('at least 3 repeats a side') });
  }
});

it('stored runs are comparable with one of today unless something occurred that is counted otherwise now', async () => {
  expect(await benchHere(['compare', RUN, now])).toMatchObject({ stderr: '' });
  const report = parseReport(readFileSync(path.join(now, 'report.json'), 'utf8'));
  const folder = path.join(makeFolder(), 'run');
  mkdirSync(folder);
  const unseenTokens = { count: 3, requests: 1, unknown: 0 };
  const levels = report.levels.map((level) => ({ ...level, unseenTokens }));
  writeFileSync(path.join(folder, 'report.json'), JSON.stringify({ ...report, levels }));
  expect(await benchHere(['compare', RUN, folder])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('definition of tpotMs: version 1 and 2'),
  });
});

it('a definition of another version makes them not comparable, in one line', async () => {
  const run = reworded({ ttftMs: 2 });
  const gate = ['gate', run, '--policy', POLICY, '--baseline'];
  for (const args of [
    ['compare', RUN, run],
    ['compare', BASELINE, run],
    [...gate, RUN],
    [...gate, BASELINE],
  ])
    expect(await benchHere(args)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(
        /^bench: not comparable: definition of ttftMs: version 1 and 2\n {2}compare like with like.*\n$/,
      ),
    });
});
