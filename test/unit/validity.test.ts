import { describe, expect, it } from 'vitest';
import { parseRequireValid } from '../../src/commands/arguments.ts';
import { exitCodeOf } from '../../src/commands/exit-code.ts';
import { readReport } from '../../src/commands/read-report.ts';
import { HEADLINE_METRICS, type Validity } from '../../src/core/audit-facts.ts';
import { JUDGED_IDS, METRIC_IDS } from '../../src/core/metric-ids.ts';
import { doubtfulHeadlines, isDoubtful } from '../../src/core/validity.ts';
import { refusal } from '../fixtures/refusal.ts';
import { makeCalmReport } from '../fixtures/report.ts';

const suspect = (...doubtful: string[]): Validity => ({ verdict: 'suspect', reasons: ['late'], doubtful });

/** All metrics with a better and a worse that are doubtful where these are. */
const doubted = (...doubtful: string[]): string[] =>
  JUDGED_IDS.filter((id) => isDoubtful(suspect(...doubtful), id));

describe('a metric', () => {
  it('of a level that is valid is not doubtful, even where it is listed', () => {
    const valid: Validity = { verdict: 'valid', reasons: [], doubtful: ['ttftMs.p50'] };
    expect(JUDGED_IDS.filter((id) => isDoubtful(valid, id))).toEqual([]);
    expect(JUDGED_IDS.filter((id) => isDoubtful({ verdict: 'valid' }, id))).toEqual([]);
    expect(doubtfulHeadlines(valid)).toEqual([]);
  });

  it.each([
    ['client-bound', { verdict: 'client-bound', doubtful: [] }],
    ['suspect by an older version', { verdict: 'suspect' }],
  ] as const)('of a level that is %s is doubtful', (_, verdict) => {
    expect(JUDGED_IDS.filter((id) => !isDoubtful(verdict, id))).toEqual([]);
    expect(doubtfulHeadlines(verdict)).toEqual([...HEADLINE_METRICS]);
  });

  it('of a suspect level is doubtful where it is listed', () => {
    expect(doubted()).toEqual([]);
    expect(isDoubtful(suspect('itlMs.p99'), 'itlMs.p99')).toBe(true);
    for (const id of ['itlMs.p95', 'tokenItlMs.p99', 'steady.tokenItlMs.p99', 'ttftMs.p99'])
      expect(isDoubtful(suspect('itlMs.p99'), id), id).toBe(false);
    // No statistic of theirs, though it begins with their name.
    expect(isDoubtful(suspect('itlMs.p999'), 'itlMs.p99')).toBe(false);
    expect(isDoubtful(suspect('outputTokensPerSPerGpu'), 'outputTokensPerS')).toBe(false);
    for (const id of METRIC_IDS) expect(isDoubtful(suspect(id), id), id).toBe(true);
  });

  it('without bounds of its own is doubtful where any statistic of its distribution is', () => {
    expect(doubted('itlMs.p95')).toEqual(['itlMs.min', 'itlMs.p95', 'itlMs.p999', 'itlMs.max']);
    expect(isDoubtful(suspect('itlMs.p95'), 'itlMs.std')).toBe(true);
    // How many there are is no matter of time stamps.
    expect(isDoubtful(suspect('itlMs.p95'), 'itlMs.count')).toBe(false);
    expect(doubted('tokenItlMs.mean')).toEqual([
      ...['mean', 'min', 'p999', 'max'].map((stat) => `tokenItlMs.${stat}`),
      'steady.tokenItlMs.p50',
      'steady.tokenItlMs.p99',
    ]);
  });

  it('that is computed from a doubtful one is doubtful', () => {
    const speeds = (name: string, ...but: string[]): string[] =>
      ['mean', 'min', 'p50', 'p90', 'p95', 'p99', 'p999', 'max']
        .filter((stat) => !but.includes(stat))
        .map((stat) => `${name}.${stat}`);
    const limits = ['goodput.requestsPerS'];
    // The fastest requests are those with the least time per token: only the medians are of the same requests.
    expect(doubted('tpotMs.p99')).toEqual([
      ...['min', 'p99', 'p999', 'max'].map((stat) => `tpotMs.${stat}`),
      ...speeds('tokensPerSPerUser', 'p50'),
      ...limits,
    ]);
    expect(doubted('tpotMs.p50')).toEqual(expect.arrayContaining(speeds('tokensPerSPerUser')));
    expect(doubted('e2eMs.mean')).toEqual([
      ...['mean', 'min', 'p999', 'max'].map((stat) => `e2eMs.${stat}`),
      ...speeds('requestTokensPerS', 'p50'),
      ...limits,
      ...['mean', 'min', 'p999', 'max'].map((stat) => `open.e2eFromDueMs.${stat}`),
    ]);
    expect(doubted('ttftMs.p50')).toEqual([
      ...['min', 'p50', 'p999', 'max'].map((stat) => `ttftMs.${stat}`),
      ...limits,
      ...['min', 'p50', 'p999', 'max'].map((stat) => `open.ttftFromDueMs.${stat}`),
      'steady.ttftMs.p50',
      'steady.ttftMs.p99',
    ]);
  });

  it('that is a rate is doubtful with those it is computed from', () => {
    expect(doubted('requestsPerS')).toEqual([
      ...['requestsPerS', 'inputTokensPerS', 'totalTokensPerS', 'totalTokensPerSPerGpu'],
      'goodput.requestsPerS',
    ]);
    expect(doubted('outputTokensPerS')).toEqual([
      ...['outputTokensPerS', 'totalTokensPerS', 'outputTokensPerSPerGpu', 'totalTokensPerSPerGpu'],
      'steady.outputTokensPerS',
    ]);
    expect(doubted('inputTokensPerS')).toEqual([
      ...['inputTokensPerS', 'totalTokensPerS', 'totalTokensPerSPerGpu'],
    ]);
    expect(doubted('totalTokensPerS')).toEqual(['totalTokensPerS', 'totalTokensPerSPerGpu']);
  });

  it('of goodput is doubtful where a latency with a limit is', () => {
    for (const id of ['goodput.met', 'goodput.attainmentRatio', 'goodput.requestsPerS']) {
      for (const basis of ['ttftMs.mean', 'tpotMs.p90', 'e2eMs.p99'])
        expect(isDoubtful(suspect(basis), id), `${id} by ${basis}`).toBe(true);
      for (const other of ['itlMs.p50', 'tokenItlMs.p50', 'outputTokensPerS'])
        expect(isDoubtful(suspect(other), id), `${id} by ${other}`).toBe(false);
    }
    expect(isDoubtful(suspect('requestsPerS'), 'goodput.attainmentRatio')).toBe(false);
  });
});

describe('the headline metrics', () => {
  it.each([
    [[], []],
    [['ttftMs.p99'], ['ttft']],
    [['itlMs.p99'], ['itl']],
    [['tokenItlMs.mean'], ['itl']],
    [['tpotMs.p50'], ['tpot']],
    [['e2eMs.p90'], ['e2e']],
    [['requestsPerS'], ['throughput']],
    [['inputTokensPerS'], ['throughput']],
    [['outputTokensPerS'], ['throughput']],
    [['totalTokensPerS'], ['throughput']],
    [
      ['outputTokensPerS', 'e2eMs.p99', 'itlMs.p50', 'itlMs.p99'],
      ['itl', 'e2e', 'throughput'],
    ],
  ])('of a level in which %j are doubtful: %j', (doubtful, headlines) => {
    expect(doubtfulHeadlines(suspect(...doubtful))).toEqual(headlines);
  });
});

describe('--require-valid', () => {
  it.each([
    [undefined, false],
    [false, false],
    [true, true],
    ['true', true],
    ['false', false],
    // A switch may be given again.
    [[true, false], false],
    [[false, true], true],
    ['tpot', ['tpot']],
    ['tpot,ttft', ['ttft', 'tpot']],
    [' e2e , itl,e2e', ['itl', 'e2e']],
    [HEADLINE_METRICS.join(','), [...HEADLINE_METRICS]],
  ])('%j is %j', (given, asked) => {
    expect(parseRequireValid(given)).toEqual(asked);
  });

  it.each(['latency', 'tpot,', '', 'TTFT', 5, 'ttftMs.p50'])('%j is refused with the names', (given) => {
    const { message } = refusal(() => parseRequireValid(given));
    const word = String(given).split(',').at(-1);
    expect(message).toBe(`--require-valid: "${word}" is not one of ttft, itl, tpot, e2e, throughput`);
  });

  it.each([[[true, 'tpot']], [['tpot', 'ttft']]])('%j is refused: metrics are given once', (given) => {
    expect(refusal(() => parseRequireValid(given)).message).toBe('--require-valid: given more than once');
  });

  /** The exit code of a run of two levels, the second with this verdict. */
  const exit = (requireValid: ReturnType<typeof parseRequireValid>, validity: Validity): number => {
    const report = makeCalmReport();
    const levels = report.levels.map((level, nth) => ({
      ...level,
      validity: nth === 1 ? validity : { verdict: 'valid' as const, reasons: [] },
    }));
    expect(levels).toHaveLength(2);
    return exitCodeOf({ ...report, levels, spec: { ...report.spec, requireValid } }, []);
  };

  it('is exit 5 where a metric that it asks for is doubtful, and 0 where others are', () => {
    const validity = suspect('itlMs.p99', 'e2eMs.p99');
    expect(exit(false, validity)).toBe(0);
    expect(exit(true, validity)).toBe(5);
    expect(exit(['itl'], validity)).toBe(5);
    expect(exit(['ttft', 'e2e'], validity)).toBe(5);
    expect(exit(['ttft', 'tpot', 'throughput'], validity)).toBe(0);
    expect(exit(true, suspect())).toBe(0);
    expect(exit(true, { verdict: 'valid', reasons: [] })).toBe(0);
    expect(exit(['ttft'], { verdict: 'client-bound', reasons: ['busy'] })).toBe(5);
  });

  it('judges levels of older versions as a whole', () => {
    const older: Validity = { verdict: 'suspect', reasons: ['late'] };
    expect([exit(true, older), exit(['throughput'], older), exit(false, older)]).toEqual([5, 5, 0]);
    const stored = readReport('test/fixtures/stored/run');
    expect(stored.levels.map(({ validity }) => validity.verdict)).toContain('suspect');
    for (const [requireValid, code] of [
      [true, 5],
      [false, 0],
    ] as const)
      expect(exitCodeOf({ ...stored, spec: { ...stored.spec, requireValid } }, [])).toBe(code);
  });
});
