import { describe, expect, it } from 'vitest';
import type { ServerSide } from '../../src/core/server-side.ts';
import { serverNotes } from '../../src/exporters/server-notes.ts';
import { makeFailingLevel, makeReport, makeThinLevel } from '../fixtures/report.ts';
import { makeServerSide } from '../fixtures/server-side.ts';

const notesOf = (...sides: readonly ServerSide[]) =>
  serverNotes(
    makeReport({
      levels: sides.map((server, nth) => ({ ...(nth === 0 ? makeThinLevel() : makeFailingLevel()), server })),
    }),
  );

describe('serverNotes', () => {
  it('tells what the server worked on and where the TTFT went, without parts that do not matter', () => {
    const quiet = makeServerSide({ sources: [] });
    expect(notesOf(quiet)).toEqual([
      {
        topic: 'server',
        text: 'frontend running 8 (most 8); engine running 7 (most 8), waiting 0.500 (most 1), KV cache most 25 %, 2 preemptions',
        loud: false,
      },
      {
        topic: 'TTFT',
        text: '250 ms = queue 80.0 + prefill 150 + rest of the server 10.0 + unexplained 10.0',
        loud: false,
      },
    ]);
    expect(serverNotes(makeReport())).toEqual([]);
  });

  it('shows a part that would have to be negative as such, with the doubt', () => {
    const { waterfall } = makeServerSide();
    const partsMs = { queue: 300, unexplained: -50 };
    const [, note] = notesOf(
      makeServerSide({ sources: [], waterfall: { ...waterfall, partsMs, doubt: 'why' } }),
    );
    expect(note!.text).toBe('250 ms = queue 300 + unexplained −50.0 (doubtful: why)');
  });

  it('names the levels, and says once why nothing could be taken apart', () => {
    const { waterfall } = makeServerSide();
    const none = { ...waterfall, ttftMs: null, partsMs: {}, reason: '3 of 32 requests failed' };
    const notes = notesOf(
      makeServerSide({ sources: [], frontend: {}, engine: {} }),
      makeServerSide({ sources: [], frontend: {}, engine: {}, waterfall: none }),
    );
    expect(notes.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^concurrency 1: 250 ms = /),
      'not taken apart: concurrency 16: 3 of 32 requests failed',
    ]);
  });

  it('is loud about an address that was asked for or had answered, and quiet about one that never did', () => {
    const source = { url: 'http://h/metrics', samples: 0, failures: 4, firstFailure: 'status 404' } as const;
    const loud = (by: 'given' | 'target' | 'stack', samples = 0): boolean => {
      const [note] = notesOf(makeServerSide({ sources: [{ ...source, by, samples }] }));
      expect(note!.text).toBe('no metrics from http://h/metrics in 4 looks: status 404');
      return note!.loud;
    };
    expect([loud('given'), loud('target'), loud('stack'), loud('stack', 5)]).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });
});
