import { describe, expect, it } from 'vitest';
import type { Audit } from '../../src/core/audit-facts.ts';
import type { LevelReport, Report } from '../../src/core/report.ts';
import { columnFigures, figure, latencyUnit, percent } from '../../src/exporters/figures.ts';
import { runNotes } from '../../src/exporters/notes.ts';
import { summaryTable } from '../../src/exporters/summary-table.ts';
import { renderReport } from '../../src/exporters/terminal.ts';
import {
  makeAudit,
  makeCalmReport,
  makeFailingLevel,
  makePartialLevel,
  makeReport,
  makeShapesReport,
  makeSkippedLevel,
  makeThinLevel,
  NO_STATS,
} from '../fixtures/report.ts';

const ESCAPE = String.fromCharCode(27);
const WIDE = { colour: false, width: 120, histograms: false };

/** The page with each wrapped note on one line. */
function page(report: Report, width = 120): string {
  return renderReport(report, { ...WIDE, width }).replace(/\n {14}(?=\S)/g, ' ');
}

function withLevels(...levels: LevelReport[]): Report {
  return makeReport({ levels });
}

/** Cells of the table's row that starts with `concurrency`. */
function row(report: Report, concurrency: string, width = 120): string[] {
  const { lines } = summaryTable(report, { colour: false, width });
  return lines
    .find((line) => line.trim().startsWith(`${concurrency} `))!
    .trim()
    .split(/ {2,}/);
}

describe('figures', () => {
  it('shows three significant digits and no fewer than the whole part', () => {
    expect([0.08123, 9.876, 99.96, 123.4, 12_345.6, 0].map(figure)).toEqual([
      '0.0812',
      '9.88',
      '100',
      '123',
      '12,346',
      '0',
    ]);
  });

  it('gives one number of decimals to a column', () => {
    const format = columnFigures([41.23, 318.4, 3_120]);
    expect([41.23, 318.4, 3_120].map(format)).toEqual(['41.2', '318.4', '3,120.0']);
  });

  it('never rounds a small value of a wide column to nothing', () => {
    expect(columnFigures([0.0123, 98_765])(0.0123)).toBe('0.0123');
  });

  it('never calls nearly all all, nor nearly nothing nothing', () => {
    expect([0, 0.0001, 0.0234, 0.5, 0.995, 0.99999, 1].map(percent)).toEqual([
      '0 %',
      '<0.1 %',
      '2.3 %',
      '50 %',
      '99.5 %',
      '>99.9 %',
      '100 %',
    ]);
  });

  it('shows long latencies in seconds and short ones in ms, never mixed', () => {
    expect(latencyUnit([180, 6_104]).unit).toBe('ms');
    expect(latencyUnit([11_471, 31_420, null]).unit).toBe('s');
    expect(latencyUnit([null]).unit).toBe('ms');
  });
});

describe('summaryTable', () => {
  it('has a row per level, with the numbers of the report in the units of the heading', () => {
    const { lines } = summaryTable(makeReport(), { colour: false, width: 200 });
    expect(lines[0]).toMatch(/good +TTFT ms +ITL ms +TPOT ms +E2E s +output tok\/s +total/);
    expect(lines[1]).toMatch(
      /conc +\/sent +p50 +p99 +p50 +p99 +p50 +p50 +p99 +all +\/user +\/GPU +tok\/s +notes/,
    );
    expect(row(makeReport(), '16')).toEqual([
      ...['16', '500/512', '318', '~1,323', '13.6', '44.2', '14.5', '14.9', '~16.7'],
      ...['1,028.8', '69.0', '514.4', '5,144'],
    ]);
  });

  it('marks percentiles that stand on too few samples, and only those', () => {
    expect(row(makeReport(), '1').slice(2, 4)).toEqual(['180', '~196']);
    expect(row(makeReport(), '16').slice(2, 4)).toEqual(['318', '~1,323']);
    expect(summaryTable(makeReport(), WIDE).marked).toBe(true);
    expect(summaryTable(makeCalmReport(), WIDE).marked).toBe(false);
  });

  it('marks values that are not valid, and only those', () => {
    const goodput = { met: 12, attainmentRatio: 0.75, requestsPerS: 0.07, attainmentBy: {} };
    const table = (verdict: 'suspect' | 'client-bound', ...doubtful: string[]) => {
      const validity = { verdict, reasons: ['late'], doubtful };
      const report = withLevels(makeThinLevel({ validity, goodput }), makeFailingLevel({ goodput }));
      const { lines, doubtful: isDoubtful, marked } = summaryTable(report, { colour: false, width: 200 });
      // conc, good/sent, TTFT ×2, ITL ×2, TPOT, E2E ×2, all, /user, /GPU, total, goodput, met
      expect(lines.at(-1)).not.toContain('?');
      expect(marked).toBe(true);
      const cells = lines.at(-2)!.trim().split(/ {2,}/);
      return { cells, isDoubtful, places: cells.flatMap((cell, i) => (cell.startsWith('?') ? i : [])) };
    };
    expect(table('suspect')).toMatchObject({ isDoubtful: false, places: [] });
    expect(table('suspect', 'ttftMs.p90', 'itlMs.p50')).toMatchObject({ isDoubtful: true });
    expect(table('suspect', 'itlMs.p99').places).toEqual([5]);
    expect(table('suspect', 'itlMs.p99').isDoubtful).toBe(true);
    expect(table('suspect', 'tokenItlMs.p99')).toMatchObject({ isDoubtful: false, places: [] });
    const p99 = table('suspect', 'ttftMs.p99');
    expect(p99.cells.slice(2, 4)).toEqual(['180', '?~196']);
    expect(p99.places).toEqual([3, 13, 14]);
    expect(table('suspect', 'e2eMs.p50').places).toEqual([7, 13, 14]);
    expect(table('suspect', 'tpotMs.p50').places).toEqual([6, 10, 13, 14]);
    expect(table('suspect', 'outputTokensPerS').places).toEqual([9, 11, 12]);
    expect(table('suspect', 'outputTokensPerS').cells[9]).toMatch(/^\?87\.0/);
    expect(table('suspect', 'requestsPerS').places).toEqual([12, 13]);
    expect(table('client-bound').places).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    expect(row(makeReport(), '64').slice(2, 4)).toEqual(['?1,403', '?6,104']);
    expect(summaryTable(makeCalmReport(), WIDE).doubtful).toBe(false);
    // A shape that nobody could count is no doubt.
    const [first, second] = makeCalmReport().levels;
    const uncounted = makeCalmReport({ levels: [first!, { ...second!, isl: 0 }] });
    expect(summaryTable(uncounted, WIDE).lines.join('\n')).toContain('?×1,000');
    expect(summaryTable(uncounted, WIDE).doubtful).toBe(false);
  });

  it('says what a level was, and shows no number for one that was skipped', () => {
    expect(row(makeReport(), '64').at(-1)).toBe('partial');
    const skipped = row(makeReport(), '128');
    expect(skipped.at(-1)).toBe('skipped');
    expect(new Set(skipped.slice(1, -1))).toEqual(new Set(['–']));
  });

  it('shows tokens per GPU only where a GPU count was given', () => {
    expect(summaryTable(makeReport(), WIDE).lines[1]).toContain('/GPU');
    expect(summaryTable(makeCalmReport(), WIDE).lines[1]).not.toContain('/GPU');
  });

  it('names shapes when there are several, and token ITL when chunks carry several tokens', () => {
    const { lines } = summaryTable(makeShapesReport(), WIDE);
    expect(lines.join('\n')).toContain('token ITL ms');
    expect(lines.filter((line) => line.includes('8,000×200'))).toHaveLength(1);
    expect(lines.find((line) => line.includes('1,000×1,000'))).toContain(' 7.16  23.3 ');
    expect(summaryTable(makeCalmReport(), WIDE).lines.join('\n')).not.toContain('×');
  });

  it.each([140, 120, 100, 80, 60])('fits %i columns, keeping what matters most', (width) => {
    for (const report of [makeReport(), makeCalmReport(), makeShapesReport()]) {
      const { lines, dropped } = summaryTable(report, { colour: false, width });
      // The columns that always stay need 75 where levels have shapes.
      const least = report.levels[2]?.isl === 8000 ? 75 : width;
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(Math.max(width, least));
      expect(lines.join('\n')).toMatch(/TTFT.*ITL.*output tok\/s/s);
      if (width === 140) expect(dropped).toEqual([]);
      if (width === 80) expect(dropped[0]).toBe('total tok/s');
    }
  });
});

describe('renderReport', () => {
  it('is calm when all is well', () => {
    const text = page(makeCalmReport());
    expect(text).not.toMatch(/^!/m);
    expect(text).not.toMatch(/DEVIATION|WARNING|fail|~/);
    expect(text).toContain("ISL 4,000, OSL 1,000: all 2,048 of each proven by the server's usage");
    expect(text).toContain("0 prompt tokens came from the server's cache");
    expect(text).toContain("the server's own counters agree on requests, input tokens and output tokens");
    expect(text.split('\n').length).toBeLessThan(22);
  });

  it('says each thing once', () => {
    for (const report of [makeReport(), makeCalmReport()]) {
      const lines = page(report)
        .split('\n')
        .filter((line) => line.trim() !== '');
      expect(new Set(lines).size).toBe(lines.length);
    }
    expect(page(makeReport()).match(/662/g)).toHaveLength(1);
  });

  it('names run, model, server, address, lengths, GPUs and tags once, at the top', () => {
    const head = page(makeReport()).split('\n').slice(0, 4).join(' ');
    expect(head).toContain('qwen3-sweep  interrupted: SIGINT at concurrency 64');
    expect(head).toContain('Qwen/Qwen3-32B on vllm at http://10.0.0.1:8000, openai-chat');
    expect(head).toContain('ISL 4,000, OSL 1,000, closed loop, 2 GPUs, 2026-11-23 14:02 UTC, 16 m 29 s');
    expect(head).toContain('gpu=H100 SXM, 80 GB');
  });

  it('counts failures by class, with the first message of each', () => {
    const text = page(makeReport());
    expect(text).toContain('12 error-event at concurrency 16: Internal server error');
    expect(text).toContain('8 timeout at concurrency 64: no data for 60 s after 412 chunks');
    expect(text).toContain('2 http at concurrency 64: 503 Service Unavailable: no available worker');
    expect(text).toContain('concurrency 16: 1 of 32 warm-up requests failed');
  });

  it('adds up the same failure of several levels', () => {
    const text = page(withLevels(makeFailingLevel(), makeFailingLevel({ point: 2, concurrency: 32 })));
    expect(text).toContain('24 error-event at concurrency 16, 32: Internal server error');
  });

  it('reports ends that prove little, and of responses held open', () => {
    const audit = makeThinLevel().audit!;
    const text = page(
      withLevels(
        makeThinLevel({
          ends: { unknownReasons: { because: 3, '\u001b[2Jrepetition': 1 }, unproven: 2 },
          audit: { ...audit, reads: { ...audit.reads!, heldOpen: 16 } },
        }),
      ),
    );
    const flat = text.replaceAll(/\s+/g, ' ');
    expect(flat).toContain(
      '! ends 2 good requests ended with [DONE] alone, without finish reason and usage,',
    );
    expect(flat).toContain('finish reasons that are not known: "because" (3),');
    expect(flat).toContain('repetition" (1)');
    expect(text).not.toContain('\u001b[2J');
    expect(flat).toContain('the server held 16 responses open after [DONE]: no slot waited for them');
    const calm = page(withLevels(makeThinLevel({ ends: { unknownReasons: { because: 3 }, unproven: 0 } })));
    expect(calm).not.toMatch(/DONE/);
    expect(calm).toMatch(/^ {2}ends /m);
  });

  it('is loud about lengths that differ', () => {
    const text = page(makeReport());
    expect(text).toMatch(
      /^! lengths +DEVIATION at concurrency 16: 3 of 500 outputs are not the 1,000 tokens asked; OSL counted: 998 to 1,000$/m,
    );
    expect(text).toContain("ISL 4,000: all 1,206 proven by the server's usage");
    expect(text).toContain("OSL 1,000: the other 1,203 proven by the server's usage");
  });

  it('is loud about lengths that nobody counted, and tells who counted the others', () => {
    const level = makeThinLevel({
      islProof: {
        asked: 4000,
        counted: { min: 4000, mean: 4000, max: 4000 },
        provenByUsage: 0,
        deviations: 0,
        unknown: 0,
      },
      oslProof: {
        asked: 1000,
        counted: { min: 1000, mean: 1000, max: 1000 },
        provenByUsage: 5,
        deviations: 0,
        unknown: 4,
      },
    });
    const text = page(withLevels(level));
    expect(text).toMatch(
      /^! lengths +UNKNOWN at concurrency 1: nobody counted 4 of 16 outputs; token rates leave them out$/m,
    );
    expect(text).toContain("ISL 4,000: all 16 as asked by the local tokenizer's count alone");
    expect(text).toContain(
      'OSL 1,000: the other 12 as asked: 5 counted by the server, the others by the local tokenizer',
    );
  });

  it('warns of a warm cache above one percent of the input', () => {
    expect(page(makeReport())).toContain(
      'WARNING at concurrency 64: 115,920 prompt tokens (4.2 % of the input)',
    );
    const few = page(withLevels(makeThinLevel({ cachedTokens: 320 })));
    expect(few).not.toContain('WARNING');
    expect(few).toContain("320 prompt tokens (0.5 % of the input) came from the server's cache");
    expect(page(withLevels(makeThinLevel({ cachedTokens: null })))).toContain(
      'the server did not say how many',
    );
  });

  it('tells of partial levels, missing text, waste and the steady window', () => {
    const text = page(makeReport());
    expect(text).toContain('concurrency 64: cut off after 700 of 1,024 requests');
    const whole = makePartialLevel({ statusReason: 'the stack was lost' });
    const sent = page(withLevels({ ...whole, requests: { ...whole.requests, sent: 1_024, failed: 334 } }));
    expect(sent).toContain('concurrency 64: 334 of 1,024 requests failed: the stack was lost');
    expect(text).toContain('concurrency 64: 4 good requests showed no text');
    expect(text).toContain('7,524 output tokens came from requests that failed');
    expect(text).toContain('87.1 at concurrency 1 (94 %); 1,052 at concurrency 16 (96 %)');
    expect(text).toContain('no window at concurrency 64: window of 1.7 median E2E is shorter than 2');
  });

  it('gives the verdict on the harness and warnings of the run a loud line', () => {
    const text = page(makeReport());
    expect(text).toMatch(
      /^! harness +CLIENT-BOUND at concurrency 64: the harness's event loop was busy 93 % of the time$/m,
    );
    expect(text).toMatch(/^! warning +the server refused the field "ignore_eos"; it was left out$/m);
    expect(text).toContain(
      'concurrency 1, 16: no bottleneck: event loop at most 12 % busy, sends at most 0.42 ms late at p99',
    );
  });

  /** The notes of a topic, of levels with such audits. */
  const notesOf = (topic: string, ...audits: (Partial<Audit> | null)[]): string[] => {
    const levels = audits.map((audit, i) =>
      makeThinLevel({ concurrency: 2 ** i, audit: audit === null ? null : makeAudit(audit) }),
    );
    return runNotes(makeReport({ levels }))
      .filter((note) => note.topic === topic)
      .map(({ text, loud }) => `${loud ? '! ' : ''}${text}`);
  };

  it('names the clock of the time stamps, with its error at the worst level', () => {
    const error = (p99: number, max: number): Partial<Audit> => ({
      stampedBy: 'kernel',
      stampErrorMs: { count: 9, p50: 0, p99, max },
    });
    expect(notesOf('clock', error(0.123, 4.56))).toEqual([
      'stamped by the kernel, within 0.12 ms at p99 (at most 4.6 ms)',
    ]);
    expect(notesOf('clock', error(0.1, 40), error(2.5, 30), error(0, 0))).toEqual([
      'stamped by the kernel, within 2.5 ms at p99 (at most 40 ms)',
    ]);
    // Instants are whole µs.
    expect(notesOf('clock', error(0.000_1, 0.000_2))).toEqual([
      'stamped by the kernel, within 0.001 ms at p99 (at most 0.001 ms)',
    ]);
    const own = { stampedBy: 'process', stampErrorMs: null } as const;
    const words =
      "time stamps are those of the harness's event loop, not the kernel's: their error is estimated, not bounded";
    expect(notesOf('clock', own, own)).toEqual([words]);
    expect(notesOf('clock', own, error(1, 2), own)).toEqual([
      `concurrency 1, 4: ${words}`,
      'concurrency 2: stamped by the kernel, within 1 ms at p99 (at most 2 ms)',
    ]);
    expect(notesOf('clock', null, { stampedBy: 'kernel', stampErrorMs: null })).toEqual([]);
    const counted = (count: number, unstamped: number): Partial<Audit> => ({
      ...error(1, 2),
      reads: { count, bytes: 900, eventsPerRead: 1, fullRatio: 0, waitMs: null, unstamped, reordered: 0 },
    });
    expect(notesOf('clock', counted(9, 8), counted(0, 0))).toEqual([
      'stamped by the kernel, within 1 ms at p99 (at most 2 ms)',
    ]);
    expect(notesOf('clock', counted(9, 9), counted(9, 0))).toEqual([
      'concurrency 2: stamped by the kernel, within 1 ms at p99 (at most 2 ms)',
      'concurrency 1: the kernel gave no stamps, the time of a read stands for them, within 1 ms at p99 (at most 2 ms)',
    ]);
    // Of older versions no clock is known.
    expect(runNotes(makeReport({ levels: [makeThinLevel()] })).map(({ topic }) => topic)).not.toContain(
      'clock',
    );
  });

  it('tells what other processes had of the cores from a tenth on', () => {
    const other = (otherCpuRatio: number | null): Partial<Audit> => ({ otherCpuRatio });
    expect(notesOf('host', other(0.099), other(null), null)).toEqual([]);
    expect(notesOf('host', other(0.1))).toEqual([
      'other processes, a server on this host included, used up to 10 % of its cores',
    ]);
    expect(notesOf('host', other(0.2), other(0.05), other(0.345))).toEqual([
      'concurrency 1, 4: other processes, a server on this host included, used up to 35 % of its cores',
    ]);
  });

  it('tells quietly where the load was not quite what was asked', () => {
    const validity = (load?: string[]) => ({
      verdict: 'valid' as const,
      reasons: [],
      doubtful: [],
      ...(load ? { load } : {}),
    });
    const late = validity(['requests were sent 5.00 ms late at p99', 'and more']);
    const load = runNotes(
      makeReport({ levels: [makeThinLevel({ validity: late }), makeFailingLevel({ validity: validity() })] }),
    ).filter(({ topic }) => topic === 'load');
    const text = 'concurrency 1: requests were sent 5.00 ms late at p99; and more';
    expect(load).toEqual([{ topic: 'load', text, loud: false }]);
  });

  it('says what ? means only where it stands', () => {
    expect(page(makeReport())).toMatch(/^ {2}\? +not valid: the reason stands under "harness"$/m);
    expect(page(makeCalmReport())).not.toContain('not valid:');
  });

  it('tells each reason of a verdict', () => {
    const validity = { verdict: 'suspect' as const, reasons: ['one thing', 'another'] };
    const text = page(makeReport({ levels: [makeThinLevel({ validity }), makeFailingLevel()] }));
    expect(text).toMatch(/^! harness +SUSPECT at concurrency 1: one thing; another$/m);
    expect(text).toMatch(/suspect/);
  });

  it('tells small differences of the server, and leaves those of the verdict to the verdict', () => {
    expect(page(makeReport())).toContain(
      'concurrency 16: the server counted 504,221 output tokens, this run 504,209',
    );
    const reason = 'the server counted 9000 requests, this run 16';
    const text = page(
      withLevels(
        makeThinLevel({
          witness: {
            source: 'x',
            inputTokens: null,
            outputTokens: null,
            requests: { server: 9_000, ours: 16 },
            reason: null,
          },
          validity: { verdict: 'suspect', reasons: [reason] },
        }),
      ),
    );
    expect(text).toContain(`SUSPECT: ${reason}`);
    expect(text).not.toContain('9,000');
  });

  it('marks estimates and what groups of events bent, with all other marks, and says what they mean', () => {
    const level = makeThinLevel({
      estimated: ['tpotMs', 'outputTokensPerS', 'tokenItlMs', 'oslProof'],
      bursts: { events: 8, everyMs: 40 },
      validity: { verdict: 'suspect', reasons: ['why'], doubtful: ['outputTokensPerS', 'itlMs.p50'] },
      oslProof: { ...makeThinLevel().oslProof, counted: { min: 990, mean: 995, max: 1_010 }, estimated: 16 },
    });
    const text = page(withLevels(level));
    const row = text.split('\n').find((line) => line.includes('16/16'))!;
    expect(row).toMatch(/ \?\*11\.2 +\*13\.9 +\*≈11\.3 /);
    expect(row).toMatch(/ \?≈87\.0 +\*88\.5 /);
    expect(row).toMatch(/ 180 +~196 /);
    expect(text).toMatch(/^ {2}\* +events came in groups: see "bursts"$/m);
    expect(text).toMatch(/^ {2}≈ +an estimate: counted by a tokenizer/m);
    expect(text).toMatch(/^! bursts +events came 8 at a time, every 40\.0 ms: something between here/m);
    expect(text).toMatch(/^! lengths +ESTIMATE at concurrency 1: OSL ≈ 990 to 1,010 of 16 outputs/m);
    expect(text).not.toMatch(/OSL 1,000: all/);
    const calm = page(makeCalmReport());
    for (const word of ['≈', 'bursts', 'ESTIMATE', 'unseen', 'at a time']) expect(calm).not.toContain(word);
    const ascii = renderReport(withLevels(level), { ...WIDE, histograms: false, ascii: true });
    expect(ascii).toMatch(/ \*=11\.3 /);
  });

  it('reports what the stream did to speeds', () => {
    const of = (patch: Partial<LevelReport>): string[] =>
      runNotes(withLevels(makeThinLevel(patch)))
        .filter(({ topic }) => ['bursts', 'unseen', 'TPOT', 'ITL'].includes(topic))
        .map(({ topic, text, loud }) => `${loud ? '! ' : ''}${topic}: ${text}`);
    expect(of({})).toEqual([]);
    expect(of({ bursts: { events: 5, everyMs: 20 } })).toEqual([
      'ITL: events came 5 at a time, every 20.0 ms, so most gaps between chunks are next to nothing',
    ]);
    expect(of({ bursts: { events: 1_200, everyMs: null } })).toEqual([
      expect.stringMatching(
        /^! bursts: whole outputs came at once, 1,200 events at a time: something between/,
      ),
    ]);
    expect(of({ unseenTokens: { count: 4_000, requests: 8, unknown: 0 } })).toEqual([
      expect.stringMatching(/^unseen: 4,000 of 16,000 output tokens \(25 %, in 8 of 16 requests\)/),
    ]);
    expect(of({ unseenTokens: { count: 0, requests: 0, unknown: 3 } })).toEqual([
      expect.stringMatching(/^! unseen: 3 of 16 outputs seem to have tokens that no chunk showed/),
    ]);
    const { tokenItlMs, tpotMs } = makeThinLevel();
    expect(of({ itlMs: NO_STATS, tokenItlMs: NO_STATS })).toEqual([
      '! bursts: each output came as one chunk: there is no ITL, and a TPOT of 0 says nothing of the model',
    ]);
    expect(of({ itlMs: NO_STATS, tokenItlMs: NO_STATS, tpotMs: NO_STATS })).toEqual([]);
    // 15,984 tokens behind the first of each output; the chunks behind the first have fewer.
    const apart = { tokenItlMs: { ...tokenItlMs, count: 12_787 }, tpotMs };
    expect(of(apart)).toEqual([expect.stringMatching(/^TPOT: TPOT is 20 % below token ITL/)]);
    expect(of({ tokenItlMs: { ...tokenItlMs, count: 15_223 } })).toEqual([]);
    expect(of({ tokenItlMs: { ...tokenItlMs, count: 15_222 } })).toHaveLength(1);
    expect(of({ ...apart, chunkTokensBy: { unknown: 1 } }).filter((text) => text.startsWith('TPOT'))).toEqual(
      [],
    );
    expect(of({ ...apart, unseenTokens: { count: 3_197, requests: 4, unknown: 0 } })).toHaveLength(1);
  });

  it('says how many requests were sent a second time, and takes their counts by the server as they are', () => {
    const { requests, witness } = makeThinLevel();
    const resentText = (change: Partial<LevelReport>): string[] =>
      runNotes(withLevels(makeThinLevel(change)))
        .filter(({ topic }) => topic === 'resent' || topic === 'witness')
        .map(({ text }) => text);
    const [resent, agrees] = resentText({
      requests: { ...requests, resent: 3 },
      witness: { ...witness!, requests: { server: 18, ours: 16, resent: 3 } },
    });
    expect(resent).toMatch(/^3 of 16 requests were sent a second time, on a new connection, .*first send/);
    expect(agrees).toMatch(/^the server's own counters agree on .*requests/);
    expect(resentText({ requests: { ...requests, resent: 0 } })).toHaveLength(1);
    expect(resentText({})).toHaveLength(1);
    expect(
      resentText({ witness: { ...witness!, requests: { server: 20_019, ours: 20_000, resent: 18 } } }).at(-1),
    ).toBe('the server counted 20,019 requests, this run 20,000');
    // Behind a verdict, what is no reason of it is still said: 10 more than can be, of 20,030.
    const requestsOf = { server: 20_030, ours: 20_000, resent: 20 };
    expect(
      resentText({
        witness: { ...witness!, requests: requestsOf },
        validity: { verdict: 'suspect', reasons: ['x'] },
      }).at(-1),
    ).toBe('the server counted 20,030 requests, this run 20,000');
  });

  it('does not let estimated lengths pass as exact', () => {
    const report = makeReport({
      levels: [makeThinLevel()],
      prompts: { ...makeReport().prompts, estimates: true },
    });
    expect(page(report)).toContain("which is not the model's tokenizer: the server proved the lengths");
    const level = makeThinLevel({ islProof: { ...makeThinLevel().islProof, provenByUsage: 0 } });
    expect(page({ ...report, levels: [level] })).toMatch(/^! prompts .*lengths are ESTIMATES/m);
  });

  it('explains thin percentiles and dropped columns only where there are some', () => {
    expect(page(makeReport())).toMatch(/^ {2}~ +fewer requests stand behind this p99 than it needs \(662\)/m);
    expect(page(makeReport())).not.toContain('left out for the width');
    expect(page(makeReport(), 80)).toMatch(
      /left out for the width, as all else in summary.csv: total tok\/s, TPOT p50/,
    );
  });

  it('keeps every line within the page', () => {
    for (const width of [80, 100, 120, 160]) {
      for (const report of [makeReport(), makeCalmReport(), makeShapesReport()]) {
        const lines = renderReport(report, { colour: false, width, histograms: true }).split('\n');
        for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(width);
        for (const line of lines) expect(line).toBe(line.trimEnd());
      }
    }
  });

  it('has colours only when asked, and says the same without them', () => {
    const plain = renderReport(makeReport(), { ...WIDE, histograms: true });
    const coloured = renderReport(makeReport(), { ...WIDE, histograms: true, colour: true });
    expect(plain).not.toContain(ESCAPE);
    expect(coloured).toContain(ESCAPE);
    expect(coloured.replaceAll(new RegExp(`${ESCAPE}\\[\\d+m`, 'g'), '').replace(/ +$/gm, '')).toBe(plain);
  });

  it('lets no text from outside write to the terminal', () => {
    const evil = `${ESCAPE}[2J\u0007bad\r\nnews`;
    const report = makeReport({
      name: evil,
      statusDetail: evil,
      warnings: [evil],
      tags: { key: evil },
      levels: [makeFailingLevel({ failures: { http: { count: 1, first: evil } } })],
    });
    const text = renderReport(report, { ...WIDE, histograms: true });
    expect([...text].filter((character) => character < ' ' && character !== '\n')).toEqual([]);
    expect(text).toContain('\\x1b[2J\\x07bad news');
  });

  it('lets no text from outside draw on a coloured page', () => {
    // What the page goes by; all other texts come from somewhere else.
    const ours =
      /^(?:schema|status|verdict|kind|lag|origin|finishedUtc|stampedBy|spec|definitions|definitionVersions|histograms)$/;
    const evil = `${ESCAPE}[35m\u009b2J\u202e\u0007`;
    const spoil = (value: unknown): unknown => {
      if (typeof value === 'string') return `${value}${evil}`;
      if (Array.isArray(value)) return value.map(spoil);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value).map(([name, one]) => [name, ours.test(name) ? one : spoil(one)]),
      );
    };
    for (const report of [makeReport(), makeCalmReport(), makeShapesReport()]) {
      const page = renderReport(spoil(report) as Report, { colour: true, width: 120, histograms: true });
      expect(page).toContain('\\x1b[35m');
      expect(page).not.toContain(`${ESCAPE}[35m`);
      for (const character of ['\u009b', '\u202e', '\u0007']) expect(page).not.toContain(character);
    }
  });

  it('needs nothing but ASCII when told so', () => {
    for (const report of [makeReport(), makeCalmReport(), makeShapesReport()]) {
      const text = renderReport(report, { ...WIDE, histograms: true, ascii: true });
      expect([...text].filter((character) => character.charCodeAt(0) > 126)).toEqual([]);
    }
  });

  it('adds histograms only when asked', () => {
    expect(renderReport(makeReport(), WIDE)).not.toContain('█');
    expect(renderReport(makeReport(), { ...WIDE, histograms: true })).toContain('█');
  });

  it('has a page for runs with nothing good in them', () => {
    const failed = makePartialLevel({
      ...makeSkippedLevel(),
      status: 'complete',
      requests: { sent: 8, good: 0, failed: 8, goodWithoutText: 0, warmup: 0, warmupFailed: 0, hold: 0 },
      failures: { connect: { count: 8, first: 'connect ECONNREFUSED 127.0.0.1:9' } },
    });
    const text = page(makeReport({ status: 'failed', statusDetail: null, levels: [failed] }));
    expect(text).toContain('8 connect at concurrency 128: connect ECONNREFUSED 127.0.0.1:9');
    expect(text).not.toMatch(/NaN|Infinity|null|undefined|lengths {2}/);
    expect(page(makeReport({ levels: [] }))).not.toMatch(/NaN|Infinity|null|undefined/);
    expect(
      page(makeReport({ status: 'running', finishedUtc: null, levels: [makeSkippedLevel()] })),
    ).not.toMatch(/NaN/);
  });
});
