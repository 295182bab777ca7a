import { describe, expect, it } from 'vitest';
import type { RankReport } from '../../src/core/report.ts';
import { loadNotes, networkNotes } from '../../src/exporters/load-notes.ts';
import { makeReport, makeThinLevel } from '../fixtures/report.ts';

function rank(number: number, host: string, clockOffsetMs: number): RankReport {
  const rest = { concurrency: 1, requests: 4, clockErrorMs: 0.25, startedUtc: null, audit: null };
  return { rank: number, host, clockOffsetMs, ...rest };
}

describe('who sent the load', () => {
  it('is said once, with the clock that is furthest off', () => {
    const levels = [
      makeThinLevel({ ranks: [rank(0, 'node1', 0.5)] }),
      makeThinLevel({ ranks: [rank(0, 'node1', 0.5), rank(1, 'node2', -1_234)] }),
    ];
    const [note, ...more] = loadNotes(makeReport({ levels }));
    expect(more).toEqual([]);
    expect(note).toMatchObject({ topic: 'load', loud: false });
    expect(note!.text).toContain('sent by 2 load generators on node1, node2;');
    expect(note!.text).toContain('at most 1,234 ms off (± 0.250 ms)');
  });

  it('is a number where there are many hosts', () => {
    const ranks = Array.from({ length: 12 }, (_, n) => rank(n, `node${n % 6}`, 0));
    expect(loadNotes(makeReport({ levels: [makeThinLevel({ ranks })] }))[0]!.text).toContain(
      'by 12 load generators on 6 hosts;',
    );
  });

  it('is nothing to say of one process', () => {
    expect(loadNotes(makeReport())).toEqual([]);
  });
});

describe('how far the server was', () => {
  it('is told with the host it was measured from', () => {
    const { target, provenance } = makeReport();
    const report = makeReport({
      target: { ...target, roundTripMs: 0.1234 },
      provenance: { ...provenance, host: 'login-1' },
    });
    expect(networkNotes(report)).toEqual([
      { topic: 'network', text: 'round trip 0.123 ms from login-1', loud: false },
    ]);
  });

  it('is nothing to say where nobody knows', () => {
    const { roundTripMs: _, ...older } = makeReport().target;
    expect(networkNotes(makeReport({ target: { ...older, roundTripMs: null } }))).toEqual([]);
    expect(networkNotes(makeReport({ target: older }))).toEqual([]);
  });
});
