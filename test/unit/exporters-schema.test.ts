import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { HEADLINE_METRICS } from '../../src/core/audit-facts.ts';
import { FAILURE_CLASSES } from '../../src/core/record.ts';
import { HISTOGRAM_NAMES } from '../../src/core/report.ts';
import type { ServerSide } from '../../src/core/server-side.ts';
import { makeJudged } from '../fixtures/judged.ts';
import {
  makeAudit,
  makeCalmReport,
  makeReport,
  makeShapesReport,
  makeSkippedLevel,
  makeThinLevel,
} from '../fixtures/report.ts';
import { makeServerSide } from '../fixtures/server-side.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Path = readonly (string | number)[];

const schema = JSON.parse(
  readFileSync(new URL('../../src/core/report.schema.json', import.meta.url), 'utf8'),
);
const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schema);

const TEXT = JSON.stringify(makeReport());

function document(): Json {
  return JSON.parse(TEXT) as Json;
}

/** Objects whose keys are the user's, or a class of failures that may be left out. */
const OPEN = ['extraBody', 'tags', 'slurm', 'definitions', 'chunkTokensBy', 'failures'];

/** Paths of all fields of closed objects in `value`. */
function fields(value: Json, path: Path = []): Path[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => fields(item, [...path, i]));
  if (value === null || typeof value !== 'object') return [];
  const open = OPEN.includes(String(path.at(-1)));
  return Object.entries(value).flatMap(([key, inner]) => {
    const field = [...path, key];
    const below = path.includes('extraBody') || key === 'extraBody' ? [] : fields(inner, field);
    return open ? below : [field, ...below];
  });
}

/** A fresh document where `change` was done to the object that holds the field. */
function changed(path: Path, change: (holder: { [key: string]: Json }, key: string) => void): Json {
  const root = document();
  let holder = root;
  for (const step of path.slice(0, -1)) holder = (holder as { [key: string]: Json })[step]!;
  change(holder as { [key: string]: Json }, String(path.at(-1)));
  return root;
}

const PATHS = fields(document());

describe('report.schema.json', () => {
  it('accepts reports of all kinds', () => {
    for (const report of [makeReport(), makeCalmReport(), makeShapesReport(), makeReport({ levels: [] })]) {
      validate(report);
      expect(validate.errors).toBeNull();
    }
  });

  it('accepts null wherever the report says it may be', () => {
    const base = makeReport();
    const report = makeReport({
      status: 'complete',
      statusDetail: null,
      finishedUtc: null,
      spec: { ...base.spec, model: null, gpus: null },
      target: {
        ...base.target,
        modelsListed: null,
        metricsUrl: null,
        canary: { ttftMs: null, e2eMs: 12, usage: false },
        roundTripMs: null,
      },
      prompts: { ...base.prompts, template: { source: 'none', hash: null, tokens: null, by: 'unknown' } },
      provenance: { ...base.provenance, git: null, slurm: null },
      levels: [makeSkippedLevel({ witness: null, audit: null })],
    });
    validate(report);
    expect(validate.errors).toBeNull();
  });

  const withLevel = (change: object) => ({ ...makeReport(), levels: [{ ...makeThinLevel(), ...change }] });

  it('accepts an audit in full, and null for what a host does not tell', () => {
    const withAudit = (audit: unknown) => withLevel({ audit });
    const audit = makeAudit();
    const unread = { reads: { ...audit.reads!, eventsPerRead: null, waitMs: null } };
    const { ring: _, ...own } = { ...audit, ...unread, stampedBy: 'process', otherCpuRatio: null };
    for (const whole of [audit, { ...own, stampErrorMs: null }])
      expect(validate(withAudit(whole)), JSON.stringify(validate.errors)).toBe(true);
    for (const wrong of [
      { ...audit, gc: { count: 1, totalMs: 1 } },
      { ...audit, reads: { ...audit.reads!, fullRatio: 1.5 } },
      { ...audit, reads: { ...audit.reads!, sharedEvents: null } },
      { ...audit, stampErrorMs: { p50: 1, p99: 1, max: 1 } },
      { ...audit, stampedBy: 'nic' },
      { ...audit, ring: { stalls: 0, stalledMs: 0 } },
      { ...audit, ring: { ...audit.ring!, more: 1 } },
      { ...audit, otherCpuRatio: -0.1 },
    ])
      expect(validate(withAudit(wrong))).toBe(false);
  });

  it('accepts what older versions saw of themselves, and says that no version writes it any more', () => {
    const late = { count: 2_000, p50: 0.1, p99: 0.25, max: 4 };
    const { sharedEvents: _s, unstamped: _u, reordered: _r, ...reads } = makeAudit().reads!;
    const { stampedBy: _b, ring: _g, otherCpuRatio: _o, ...older } = makeAudit({ reads });
    const audit = {
      ...older,
      stampErrorMs: late,
      wakeMs: late,
      receiveQueue: { looks: 40, waitingRatio: 0.1, meanBytes: 50, maxBytes: 324 },
      calibration: { concurrency: 16, eventsPerS: 1_102.4, durationS: 1.5, stampErrorMs: late },
    };
    for (const whole of [
      audit,
      { ...audit, stampErrorMs: null, wakeMs: null, receiveQueue: null, calibration: null },
    ])
      expect(validate(withLevel({ audit: whole })), JSON.stringify(validate.errors)).toBe(true);
    for (const calibrate of ['auto', 'always', 'never'])
      expect(validate({ ...makeReport(), spec: { ...makeReport().spec, calibrate } })).toBe(true);
    const { audit: inAudit, spec } = schema.$defs;
    const deprecated = (properties: Record<string, { deprecated?: boolean }>): string[] =>
      Object.keys(properties).filter((name) => properties[name]!.deprecated);
    expect(deprecated(inAudit.properties)).toEqual(['wakeMs', 'receiveQueue', 'calibration']);
    expect(deprecated(spec.properties)).toEqual(['calibrate']);
  });

  it('accepts the wires that there are', () => {
    for (const wire of ['auto', 'kernel', 'socket', 'undici'])
      expect(validate({ ...makeReport(), spec: { ...makeReport().spec, wire } })).toBe(true);
    expect(validate({ ...makeReport(), spec: { ...makeReport().spec, wire: 'tcp' } })).toBe(false);
  });

  it('accepts bounds of all metrics, and null for those without a value', () => {
    const bounds = makeJudged().bounds!;
    const none = Object.fromEntries(Object.keys(bounds).map((id) => [id, null]));
    for (const whole of [bounds, none, null])
      expect(validate(withLevel({ bounds: whole })), JSON.stringify(validate.errors)).toBe(true);
    const { upper: _, ...half } = bounds.requestsPerS!;
    const { p99: __, ...few } = bounds.ttftMs!;
    for (const wrong of [
      { ...bounds, ttftMs: few },
      { ...bounds, ttftMs: { ...bounds.ttftMs!, p999: half } },
      { ...bounds, requestsPerS: half },
      { ...bounds, inputTokensPerS: bounds.requestsPerS },
      { ttftMs: bounds.ttftMs },
    ])
      expect(validate(withLevel({ bounds: wrong }))).toBe(false);
  });

  it('accepts where the load was not quite what was asked', () => {
    const validity = { verdict: 'valid', reasons: [], doubtful: [] };
    for (const load of [[], ['late', 'and more']])
      expect(validate(withLevel({ validity: { ...validity, load } }))).toBe(true);
    for (const load of [null, 'late', [1]])
      expect(validate(withLevel({ validity: { ...validity, load } }))).toBe(false);
  });

  it('accepts versions of definitions, whole numbers from 1', () => {
    expect(validate(makeReport({ definitionVersions: { ttftMs: 1, itlMs: 2 } }))).toBe(true);
    for (const version of [0, 1.5, '1', null])
      expect(validate({ ...makeReport(), definitionVersions: { ttftMs: version } })).toBe(false);
  });

  it('accepts which metrics are not valid and which must be', () => {
    const level = makeThinLevel();
    const withDoubtful = (doubtful: unknown) => ({
      ...makeReport(),
      levels: [{ ...level, validity: { verdict: 'suspect', reasons: ['late'], doubtful } }],
    });
    for (const doubtful of [[], ['itlMs.p99', 'outputTokensPerS']])
      expect(validate(withDoubtful(doubtful))).toBe(true);
    for (const doubtful of [null, 'itlMs.p99', [1]]) expect(validate(withDoubtful(doubtful))).toBe(false);
    const asked = (requireValid: unknown) => ({
      ...makeReport(),
      spec: { ...makeReport().spec, requireValid },
    });
    for (const names of [true, [...HEADLINE_METRICS], ['tpot']]) expect(validate(asked(names))).toBe(true);
    for (const names of [[], ['latency'], ['tpot', 'tpot'], 'tpot'])
      expect(validate(asked(names))).toBe(false);
  });

  it('accepts the server’s side in full, and refuses what is not of it', () => {
    const withServer = (server: unknown) =>
      makeReport({ levels: [{ ...makeThinLevel(), server: server as ServerSide }] });
    const side = makeServerSide();
    const nothing = { ...side.waterfall, ttftMs: null, partsMs: {}, metrics: {}, doubt: 'x', reason: 'y' };
    for (const whole of [side, { sources: [], waterfall: nothing }])
      expect(validate(withServer(whole)), JSON.stringify(validate.errors)).toBe(true);
    for (const wrong of [
      { ...side, decode: {} },
      { ...side, sources: [{ ...side.sources[0]!, by: 'guess' }] },
      { ...side, engine: { ...side.engine, queueMs: { ...side.engine!.queueMs, p50: 80 } } },
      { ...side, engine: { running: { metric: 'm', mean: 1, max: 1 } } },
      { ...side, waterfall: { ...side.waterfall, partsMs: { other: 1 } } },
    ])
      expect(validate(withServer(wrong))).toBe(false);
  });

  it('covers some hundred fields of the fixture', () => {
    expect(PATHS.length).toBeGreaterThan(600);
  });

  it('refuses a report that lacks any one field', () => {
    const accepted = PATHS.filter((path) => validate(changed(path, (holder, key) => delete holder[key])));
    expect(accepted).toEqual([]);
  });

  it('refuses any field of another type', () => {
    const accepted = PATHS.filter((path) =>
      validate(
        changed(path, (holder, key) => {
          holder[key] = typeof holder[key] === 'boolean' ? 'yes' : true;
        }),
      ),
    );
    expect(accepted).toEqual([]);
  });

  it('refuses any field more', () => {
    const accepted = PATHS.filter((path) =>
      validate(
        changed(path, (holder) => {
          holder['surprise'] = 1;
        }),
      ),
    );
    expect(accepted).toEqual([]);
  });

  it.each([
    ['another schema version', ['schema'], 2],
    ['an unknown status', ['status'], 'done'],
    ['a local time', ['origin', 'utc'], '2026-11-23 14:02'],
    ['an unknown percentile', ['levels', 0, 'ttftMs', 'thin'], ['p98']],
    ['a ratio above 1', ['levels', 1, 'failureRatio'], 1.5],
    ['a share above 1', ['levels', 0, 'steady', 'shareRatio'], 2],
    ['lengths above what was asked', ['prompts', 'rangeRatio'], 1.2],
    ['half a request', ['levels', 1, 'requests', 'good'], 0.5],
    ['an unknown class of failures', ['levels', 1, 'failures'], { sad: { count: 1, first: 'x' } }],
    ['a steady window without its numbers', ['levels', 0, 'steady'], { reason: null }],
    ['an unknown verdict', ['levels', 0, 'validity', 'verdict'], 'fine'],
    ['a tag that is no text', ['tags'], { gpus: 8 }],
    ['a count that is null', ['levels', 3, 'ttftMs', 'count'], null],
  ] as [string, Path, Json][])('refuses %s', (_what, path, value) => {
    expect(
      validate(
        changed(path, (holder, key) => {
          holder[key] = value;
        }),
      ),
    ).toBe(false);
    expect(validate.errors?.length).toBeGreaterThan(0);
  });

  it('names the failure classes and histograms that the code has', () => {
    expect(Object.keys(schema.$defs.failures.properties)).toEqual([...FAILURE_CLASSES]);
    expect(Object.keys(schema.$defs.level.properties.histograms.properties)).toEqual([...HISTOGRAM_NAMES]);
  });
});
