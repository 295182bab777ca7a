import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readReport } from '../../src/commands/read-report.ts';
import { DEFINITION_VERSIONS, DEFINITIONS, isCompared } from '../../src/core/definitions.ts';
import { JUDGED_IDS } from '../../src/core/metric-ids.ts';
import { DEFAULT_POLICY } from '../../src/core/policy.ts';
import { obstaclesTo } from '../../src/core/provenance-differences.ts';
import { type Repeat, repeatOf } from '../../src/core/repeat.ts';
import type { LevelReport } from '../../src/core/report.ts';
import { type Baseline, makeBaseline, parseBaseline, runsOf } from '../../src/gate/baseline.ts';
import { makeRepeat } from '../fixtures/repeats.ts';

/** Written by the bench before definitions had versions: `bench sweep`, and `bench gate --update` of it. */
const STORED = 'test/fixtures/stored';
const storedRun = readReport(`${STORED}/run`);
const storedBaseline: unknown = JSON.parse(readFileSync(`${STORED}/baseline.json`, 'utf8'));

/** The versions that the bench of the stored files had. */
const STORED_VERSIONS = Object.fromEntries(Object.keys(DEFINITIONS).map((term) => [term, 1]));

const reworded = (term: string): string => `${DEFINITIONS[term]} In other words.`;
const TERMS = Object.keys(DEFINITIONS);

/** A run of today, all definitions in other words and of the stored versions but for `versions`. */
function today(versions: Readonly<Record<string, number>> = {}): Repeat {
  return repeatOf({
    ...storedRun,
    origin: { ...storedRun.origin, utc: '2027-01-01T00:00:00.000Z' },
    definitions: Object.fromEntries(TERMS.map((term) => [term, reworded(term)])),
    definitionVersions: { ...STORED_VERSIONS, ...versions },
  });
}

const run = (definitions: Record<string, string>, definitionVersions?: Record<string, number>): Repeat =>
  makeRepeat([], { definitions, ...(definitionVersions === undefined ? {} : { definitionVersions }) });

describe('a version of a definition', () => {
  it('is a whole number, of each term', () => {
    expect(Object.keys(DEFINITION_VERSIONS)).toEqual(TERMS);
    for (const version of Object.values(DEFINITION_VERSIONS)) {
      expect(Number.isInteger(version)).toBe(true);
      expect(version).toBeGreaterThanOrEqual(1);
    }
  });

  it('counts for the terms that compared numbers stand on, and for no other', () => {
    const [compared, others] = [true, false].map((is) => TERMS.filter((term) => isCompared(term) === is));
    const stems = new Set(JUDGED_IDS.map((id) => id.split('.', 1)[0]!));
    expect(compared).toEqual(expect.arrayContaining([...stems]));
    expect(compared).toEqual(expect.arrayContaining(['good', 'isl', 'osl', 'percentiles', 'open', 'steady']));
    expect(others).toEqual(expect.arrayContaining(['validity', 'audit.reads', 'server', 'server.running']));
    expect(TERMS.filter((term) => term.startsWith('audit.') && isCompared(term))).toEqual([]);
    expect(stems).not.toContain('server');
    // A term that this version does not know may be one of a compared number.
    expect(['serverless', 'validityMs', 'auditMs'].map(isCompared)).toEqual([true, true, true]);
  });

  it('and not its text makes runs not comparable', () => {
    const old = run({ ttftMs: 'a', e2eMs: 'b' });
    expect(obstaclesTo([old], [run({ ttftMs: 'other', e2eMs: 'words' }, { ttftMs: 1, e2eMs: 1 })])).toEqual(
      [],
    );
    expect(obstaclesTo([old], [run({ ttftMs: 'a', e2eMs: 'b' }, { ttftMs: 2, e2eMs: 1 })])).toEqual([
      'definition of ttftMs: version 1 and 2',
    ]);
    // A single term among those that have a version.
    expect(obstaclesTo([old], [run({ ttftMs: 'a', e2eMs: 'b' }, { e2eMs: 3 })])).toEqual([
      'definition of e2eMs: version 1 and 3',
    ]);
    const three = run({ ttftMs: 'a' }, { ttftMs: 3 });
    expect(obstaclesTo([three], [three])).toEqual([]);
    expect(obstaclesTo([three, old], [])).toEqual(['definition of ttftMs: version 3 and 1']);
  });

  it('of a term that one side lacks changes nothing', () => {
    expect(obstaclesTo([run({ e2eMs: 'b' })], [run({ e2eMs: 'b', tpotMs: 'c' }, { tpotMs: 2 })])).toEqual([]);
    expect(obstaclesTo([run({ constructor: 'x' })], [run({})])).toEqual([]);
  });
});

describe('what an older bench stored', () => {
  it.each([
    ['run', [repeatOf(storedRun)]],
    ['baseline', runsOf(storedBaseline, 'baseline.json')],
  ])('as a %s is compared with runs of today by versions', (_, stored) => {
    expect(stored[0]!.definitionVersions).toBeUndefined();
    expect(obstaclesTo(stored, [today()])).toEqual([]);
    expect(obstaclesTo(stored, [today({ validity: 2, 'audit.reads': 3, 'server.spans': 2 })])).toEqual([]);
    expect(obstaclesTo(stored, [today({ itlMs: 2 })])).toEqual(['definition of itlMs: version 1 and 2']);
  });

  describe('and a run of today', () => {
    const stored = [repeatOf(storedRun)];
    const ofToday = (over: Partial<LevelReport>) => [
      repeatOf({
        ...storedRun,
        definitionVersions: DEFINITION_VERSIONS,
        levels: storedRun.levels.map((level) => ({ ...level, ...over })),
      }),
    ];
    const words = (...terms: string[]): string[] =>
      terms.map((term) => `definition of ${term}: version 1 and 2`);

    it('are comparable where nothing occurred that the later versions count otherwise', () => {
      expect(obstaclesTo(stored, ofToday({}))).toEqual([]);
      expect(obstaclesTo(ofToday({}), ofToday({}))).toEqual([]);
    });

    it('are not in speeds without tokens that no chunk showed, where there were some', () => {
      const unseen = ofToday({ unseenTokens: { count: 3, requests: 1, unknown: 0 } });
      expect(obstaclesTo(stored, unseen)).toEqual(
        words('tpotMs', 'tokensPerSPerUser', 'requestTokensPerS', 'goodput'),
      );
      // Both of today.
      expect(obstaclesTo(ofToday({}), unseen)).toEqual([]);
      expect(obstaclesTo([...stored, ...ofToday({})], unseen)).toHaveLength(4);
    });

    it.each(['aborted', 'filtered'] as const)('are not in good requests where some were %s', (kind) => {
      const givenUp = ofToday({ failures: { [kind]: { count: 1, first: 'x' } } });
      expect(obstaclesTo(stored, givenUp)).toEqual(words('good'));
      expect(obstaclesTo(ofToday({ failures: { http: { count: 1, first: 'x' } } }), stored)).toEqual([]);
    });
  });

  it('takes runs of today into the same baseline, which then has all versions', () => {
    const made = { utc: '2027-01-02T00:00:00.000Z', bench: '9.9.9' };
    const earlier = parseBaseline(storedBaseline, 'baseline.json');
    const later = {
      ...storedRun,
      origin: { ...storedRun.origin, utc: '2027-01-01T00:00:00.000Z' },
      definitions: { ttftMs: 'In other words.', newMs: 'A new one.' },
      definitionVersions: { ttftMs: 1, newMs: 2 },
    };
    const both: Baseline = makeBaseline([later], { ...DEFAULT_POLICY, requireValid: false }, earlier, made);
    expect(both.runs).toHaveLength(2);
    expect(both.definitions).toMatchObject({
      e2eMs: earlier.definitions['e2eMs'],
      ttftMs: 'In other words.',
      newMs: 'A new one.',
    });
    const again = runsOf(JSON.parse(JSON.stringify(both)), 'baseline.json');
    const next = (newMs: number): Repeat => run({ ttftMs: 'x', newMs: 'y' }, { ttftMs: 1, newMs });
    const about = (repeat: Repeat): string[] =>
      obstaclesTo(again, [{ ...repeat, text: again[0]!.text, levels: again[0]!.levels }]);
    expect(about(next(2))).toEqual([]);
    expect(about(next(3))).toEqual(['definition of newMs: version 2 and 3']);
  });

  it('has versions that are whole numbers, or is broken', () => {
    const broken = { ...(storedBaseline as object), definitionVersions: { ttftMs: 1.5 } };
    expect(() => parseBaseline(broken, 'b.json')).toThrow(/broken baseline: definitionVersions\.ttftMs/);
  });
});
