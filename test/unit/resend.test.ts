import { describe, expect, it } from 'vitest';
import type { RequestRecord } from '../../src/core/record.ts';
import { Client } from '../../src/endpoints/client.ts';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';
import { ReadMeter } from '../../src/endpoints/read-meter.ts';
import { emptyTally, type ResponseSink, type Wire, type WireFailure } from '../../src/endpoints/wire.ts';
import { HandClock } from '../fixtures/transport.ts';

type Step = (sink: ResponseSink, nth: number) => void;

/** Asks once over a wire that does one step for each send, 10 ms after it. */
async function ask(steps: readonly Step[]): Promise<{ record: RequestRecord; sends: string[] }> {
  const clock = new HandClock();
  const sends: string[] = [];
  const wire: Wire = {
    stampedBy: 'process',
    leadMs: 0,
    open: () => Promise.resolve(emptyTally()),
    spare: () => undefined,
    send: (_request, sink, atMs, onNew = false) => {
      const nth = sends.push(`${atMs ?? 'at once'}${onNew ? ', on a new connection' : ''}`);
      sink.sent(clock.ms);
      clock.ms += 10;
      queueMicrotask(() => steps[Math.min(nth, steps.length) - 1]!(sink, nth));
      return () => undefined;
    },
    takeTally: emptyTally,
    close: () => Promise.resolve(),
  };
  const client = new Client([wire], {
    clock,
    dialect: openaiChat,
    model: 'm',
    fields: new Set(),
    extraBody: {},
    headers: [],
    timeouts: { connectMs: 0, firstMs: 0, idleMs: 0, totalMs: 0 },
    templateShare: 0,
    stampedBy: 'process',
    meter: new ReadMeter(),
  });
  const plan = { id: 0, point: 0, concurrency: 1, phase: 'measured' as const, requestId: 'r', dueAtMs: 3 };
  const { record } = await client.send(
    { ...plan, isl: 1, osl: 1, promptTokens: null },
    { content: Buffer.from('hi'), isl: 1, osl: 1, promptTokens: null },
  );
  await client.close();
  return { record, sends };
}

const gone =
  (reused?: WireFailure['reused']): Step =>
  (sink, nth) =>
    sink.fail({ class: 'reset', detail: 'gone', ...(reused === undefined ? {} : { reused }) }, 10 * nth);
const SECOND = ' (sent a second time: the first, on a reused connection, was not answered)';

describe('a request whose connection breaks', () => {
  it('is sent twice at most, however often that happens', async () => {
    const { record, sends } = await ask([gone('before-answer')]);
    expect(sends).toEqual(['3', 'at once, on a new connection']);
    expect(record).toMatchObject({ outcome: 'reset', resent: true, sentAtMs: 0, endAtMs: 20 });
  });

  it('fails with its second connection, which the detail says', async () => {
    const refused: Step = (sink) => sink.fail({ class: 'connect', detail: 'refused' }, 20);
    for (const [second, detail] of [
      [gone(), `gone${SECOND}`],
      [refused, `refused${SECOND}`],
      [(sink: ResponseSink) => sink.fail({ class: 'timeout', detail: 'late' }, 20), 'late'],
    ] as const) {
      const { record, sends } = await ask([gone('before-answer'), second]);
      expect(sends).toHaveLength(2);
      expect(record).toMatchObject({ detail, resent: true });
    }
  });

  it.each([
    ['a connection of its own', undefined, 'gone'],
    ['a reused one, after a byte', 'in-answer', 'gone (on a reused connection)'],
  ] as const)('is sent once on %s', async (_, reused, detail) => {
    const { record, sends } = await ask([gone(reused)]);
    expect(sends).toEqual(['3']);
    expect(record).toMatchObject({ outcome: 'reset', detail });
    expect(record).not.toHaveProperty('resent');
  });
});
