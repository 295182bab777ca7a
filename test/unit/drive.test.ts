import { describe, expect, it } from 'vitest';
import { type DriveHost, drive, type PhaseLoad } from '../../src/core/drive.ts';
import type { RequestPlan } from '../../src/core/record-builder.ts';
import { newRequestIds } from '../../src/core/request-ids.ts';
import type { PointSpec } from '../../src/core/spec.ts';
import { makeRecord } from '../fixtures/records.ts';
import { VirtualClock } from '../fixtures/virtual-clock.ts';

function point(concurrency: number): PointSpec {
  return { index: 0, concurrency, isl: 10, osl: 5, requests: null, durationMs: null, warmup: 0 };
}

interface Trace {
  readonly plans: RequestPlan[];
  readonly ended: string[];
  readonly sentAtMs: number[];
  most: number;
}

/** Runs a load on a virtual clock against a server that takes `serviceMs(n)` for the nth request. */
async function run(
  concurrency: number,
  load: Partial<PhaseLoad>,
  serviceMs: (n: number) => number,
  abortAtMs?: number,
  drained?: (clock: VirtualClock) => Promise<void>,
  turn?: (clock: VirtualClock) => Promise<void>,
  clock = new VirtualClock(),
  leadMs?: number,
): Promise<{ trace: Trace; clock: VirtualClock }> {
  const trace: Trace = { plans: [], ended: [], sentAtMs: [], most: 0 };
  const stop = new AbortController();
  const ids = newRequestIds('t');
  const open = new Map<RequestPlan, (at: number) => void>();
  const host: DriveHost = {
    clock,
    prompts: { take: () => ({ content: new Uint8Array(), isl: 10, osl: 5, promptTokens: null }) },
    name: () => ids.next(),
    finished: ({ record }) => trace.ended.push(`${record.phase} ${record.outcome}`),
    cancel: (which) => {
      for (const [plan, end] of [...open]) if (which(plan)) end(-1);
    },
    send: (plan) => {
      const sentAtMs = clock.now();
      trace.plans.push(plan);
      trace.sentAtMs.push(sentAtMs);
      return new Promise((resolve) => {
        const end = (code: number): void => {
          if (!open.delete(plan)) return;
          const cancelled = code < 0;
          const { phase } = plan;
          const record = makeRecord({
            phase,
            sentAtMs,
            endAtMs: clock.now(),
            outcome: cancelled ? 'cancelled' : 'good',
          });
          resolve({ record, text: null, uncounted: false });
        };
        open.set(plan, end);
        trace.most = Math.max(trace.most, open.size);
        clock.at(sentAtMs + serviceMs(plan.id), () => end(0));
      });
    },
    ...(drained === undefined ? {} : { drained: () => drained(clock) }),
    ...(turn === undefined ? {} : { turn: () => turn(clock) }),
    ...(leadMs === undefined ? {} : { leadMs }),
  };
  if (abortAtMs !== undefined) clock.at(abortAtMs, () => stop.abort());
  const whole: PhaseLoad = {
    phase: 'measured',
    arrival: { slots: concurrency, offsetsMs: null },
    count: Number.POSITIVE_INFINITY,
    untilAtMs: Number.POSITIVE_INFINITY,
    hold: false,
    ...load,
  };
  const done = drive(point(concurrency), whole, host, stop.signal);
  await clock.runUntil(done);
  return { trace, clock };
}

describe('drive', () => {
  it('keeps exactly C in flight and sends the next the moment one ends', async () => {
    const { trace, clock } = await run(4, { count: 16 }, () => 100);
    expect(trace.plans).toHaveLength(16);
    expect(trace.most).toBe(4);
    expect(trace.sentAtMs).toEqual([0, 0, 0, 0, 100, 100, 100, 100, 200, 200, 200, 200, 300, 300, 300, 300]);
    expect(clock.now()).toBe(400);
  });

  it('calls a request due when its slot came free', async () => {
    const { trace } = await run(2, { count: 5 }, (n) => [100, 30, 50, 10, 10][n]!);
    expect(trace.sentAtMs).toEqual([0, 0, 30, 80, 90]);
    expect(trace.plans.map((plan) => plan.dueAtMs)).toEqual([0, 0, 30, 80, 90]);
  });

  it('hands nothing over early in a closed loop: a request is due the moment its slot comes free', async () => {
    const service = (n: number): number => [100, 30, 50, 10, 10][n]!;
    const plain = await run(2, { count: 5 }, service);
    const lead = await run(2, { count: 5 }, service, undefined, undefined, undefined, undefined, 10);
    expect(lead.trace).toEqual(plain.trace);
    expect(lead.clock.now()).toBe(plain.clock.now());
  });

  it('sends fewer than C when there are fewer', async () => {
    const { trace } = await run(8, { count: 3 }, () => 10);
    expect(trace.plans).toHaveLength(3);
  });

  it('stops sending after its time, and lets what is in flight end', async () => {
    const { trace, clock } = await run(2, { untilAtMs: 250 }, () => 100);
    expect(trace.sentAtMs).toEqual([0, 0, 100, 100, 200, 200]);
    expect(clock.now()).toBe(300);
  });

  it('sends nothing more after an abort', async () => {
    const { trace } = await run(2, { count: 100 }, () => 100, 150);
    expect(trace.plans).toHaveLength(4);
    expect(trace.ended).toHaveLength(4);
  });

  it('sends one by one what is due together when its host says so, and tells the lag', async () => {
    const oneByOne = (): ((clock: VirtualClock) => Promise<void>) => {
      let freeAtMs = 0;
      return (clock) => {
        freeAtMs = Math.max(freeAtMs, clock.now()) + 1;
        return clock.sleepUntil(freeAtMs);
      };
    };
    const { trace } = await run(3, { count: 6 }, () => 100, undefined, undefined, oneByOne());
    expect(trace.sentAtMs).toEqual([1, 2, 3, 102, 103, 104]);
    expect(trace.plans.map(({ dueAtMs }) => dueAtMs)).toEqual([0, 0, 0, 101, 102, 103]);
    // Who waits for a turn when all is to stop sends nothing.
    const stopped = await run(3, {}, () => 100, 1.5, undefined, oneByOne());
    expect(stopped.trace.sentAtMs).toEqual([1]);
  });

  it('holds the load with unmeasured requests until the last measured one has ended', async () => {
    // Request 2 is slow: its neighbour's slot stays full meanwhile, and what fills it is cancelled at the end.
    const { trace, clock } = await run(2, { count: 3, hold: true }, (n) => (n === 2 ? 250 : 100));
    expect(trace.plans.filter((plan) => plan.phase === 'measured')).toHaveLength(3);
    expect(trace.ended.filter((line) => line.startsWith('measured'))).toEqual(Array(3).fill('measured good'));
    expect(trace.ended.filter((line) => line.startsWith('hold'))).toEqual([
      'hold good',
      'hold good',
      'hold cancelled',
    ]);
    expect(clock.now()).toBe(350);
  });

  it('goes on holding the load for other shares of a level, until they have all ended', async () => {
    const { trace, clock } = await run(
      2,
      { count: 4, hold: true },
      () => 100,
      undefined,
      (clock) => clock.sleepUntil(450),
    );
    expect(trace.plans.filter(({ phase }) => phase === 'measured')).toHaveLength(4);
    // Both slots stay full from 200 on; at 450 what fills them is cancelled.
    expect(trace.sentAtMs).toEqual([0, 0, 100, 100, 200, 200, 300, 300, 400, 400]);
    expect(trace.ended.slice(-2)).toEqual(['hold cancelled', 'hold cancelled']);
    expect(clock.now()).toBe(450);
  });

  it('holds with slots that have no request of their own', async () => {
    const { trace } = await run(
      2,
      { count: 0, hold: true },
      () => 100,
      undefined,
      (clock) => clock.sleepUntil(150),
    );
    expect(trace.plans.map(({ phase }) => phase)).toEqual(['hold', 'hold', 'hold', 'hold']);
    expect(trace.sentAtMs).toEqual([0, 0, 100, 100]);
  });

  describe('in an open loop', () => {
    const open = (slots: number, ...offsetsMs: number[]): Partial<PhaseLoad> => ({
      arrival: { slots, offsetsMs },
      count: offsetsMs.length,
    });

    it('sends each request when it is due, however many are under way', async () => {
      const { trace } = await run(9, open(9, 0, 10, 10, 25, 400), () => 100);
      expect(trace.sentAtMs).toEqual([0, 10, 10, 25, 400]);
      expect(trace.plans.map(({ dueAtMs }) => dueAtMs)).toEqual([0, 10, 10, 25, 400]);
      expect(trace.plans.map(({ heldMs }) => heldMs)).toEqual([0, 0, 0, 0, 0]);
      expect(trace.most).toBe(4);
    });

    it('holds what finds no slot free, in its order, and tells for how long', async () => {
      const { trace } = await run(2, open(2, 0, 10, 20, 30, 500), () => 100);
      expect(trace.sentAtMs).toEqual([0, 10, 100, 110, 500]);
      expect(trace.plans.map(({ dueAtMs }) => dueAtMs)).toEqual([0, 10, 20, 30, 500]);
      expect(trace.plans.map(({ heldMs }) => heldMs)).toEqual([0, 0, 80, 80, 0]);
      expect(trace.most).toBe(2);
    });

    it('tells a lag of its own apart from a wait for a slot', async () => {
      const slow = (clock: VirtualClock): Promise<void> => clock.sleepUntil(clock.now() + 7);
      const { trace } = await run(1, open(1, 0, 50), () => 100, undefined, undefined, slow);
      expect(trace.sentAtMs).toEqual([7, 114]);
      // The second: 57 ms until the slot was free, 7 of ours.
      expect(trace.plans.map(({ heldMs }) => heldMs)).toEqual([0, 57]);
    });

    it('books no lag of its own as a wait while slots are free', async () => {
      // Timers are 30 ms late: the third is due before the second, which lines it up, was woken.
      class LateClock extends VirtualClock {
        override sleepUntil(atMs: number, signal?: AbortSignal): Promise<void> {
          return atMs <= this.now() ? Promise.resolve() : super.sleepUntil(atMs + 30, signal);
        }
      }
      const late = new LateClock();
      const { trace } = await run(9, open(9, 0, 1, 2), () => 100, undefined, undefined, undefined, late);
      expect(trace.sentAtMs).toEqual([0, 31, 31]);
      expect(trace.plans.map(({ heldMs }) => heldMs)).toEqual([0, 0, 0]);
    });

    it('hands each request over so long before it is due as the host sends by itself', async () => {
      const lead = (slots: number, ...offsetsMs: number[]) =>
        run(9, open(slots, ...offsetsMs), () => 100, undefined, undefined, undefined, undefined, 10);
      const { trace, clock } = await lead(9, 4, 10, 30, 30, 200);
      expect(trace.sentAtMs).toEqual([0, 0, 20, 20, 190]);
      expect(trace.plans.map(({ dueAtMs }) => dueAtMs)).toEqual([4, 10, 30, 30, 200]);
      expect(trace.plans.map(({ heldMs }) => heldMs)).toEqual([0, 0, 0, 0, 0]);
      expect(clock.now()).toBe(290);
      // A slot that comes free before a request is due holds nothing up; one that does later does for so long.
      const few = await lead(1, 0, 105, 150);
      expect(few.trace.sentAtMs).toEqual([0, 100, 200]);
      expect(few.trace.plans.map(({ dueAtMs, heldMs }) => [dueAtMs, heldMs])).toEqual([
        [0, 0],
        [105, 0],
        [150, 50],
      ]);
    });

    it('sends nothing more after an abort, also what was asleep until it was due', async () => {
      const { trace, clock } = await run(9, open(9, 0, 10, 1_000), () => 100, 50);
      expect(trace.sentAtMs).toEqual([0, 10]);
      expect(clock.now()).toBe(110);
    });

    it('sends all that was due in time, however late', async () => {
      const { trace } = await run(1, open(1, 0, 0, 0), () => 100);
      expect(trace.sentAtMs).toEqual([0, 100, 200]);
      expect(trace.plans.map(({ heldMs }) => heldMs)).toEqual([0, 100, 200]);
    });

    it('goes on by its schedule with unmeasured requests until the last measured one has ended', async () => {
      const offsetsMs = [0, 10, 20, 30, 40, 300];
      const load = { arrival: { slots: 9, offsetsMs }, count: 2, hold: true };
      const { trace, clock } = await run(9, load, (n) => (n === 1 ? 25 : 100));
      expect(trace.plans.map(({ phase }) => phase)).toEqual(['measured', 'measured', 'hold', 'hold', 'hold']);
      expect(trace.sentAtMs).toEqual([0, 10, 20, 30, 40]);
      // All measured ended at 100: what was due at 300 is waited for no longer.
      expect(trace.ended.slice(-3)).toEqual(['hold cancelled', 'hold cancelled', 'hold cancelled']);
      expect(clock.now()).toBe(100);
    });
  });

  describe('with conversations', () => {
    /** Runs conversations of three turns; `fails` picks requests that do not end well. */
    async function talk(
      concurrency: number,
      load: Partial<PhaseLoad>,
      fails: (plan: RequestPlan) => boolean = () => false,
      leadMs?: number,
    ): Promise<{ plans: RequestPlan[]; sentAtMs: number[]; contents: string[] }> {
      const clock = new VirtualClock();
      const seen = { plans: [] as RequestPlan[], sentAtMs: [] as number[], contents: [] as string[] };
      const ids = newRequestIds('t');
      const host: DriveHost = {
        clock,
        prompts: {
          take: (_point, _phase, index) => ({
            ...{ content: Buffer.from(`q${index}`), isl: 10, osl: 5, promptTokens: null },
          }),
        },
        name: () => ids.next(),
        finished: () => undefined,
        cancel: () => undefined,
        follow: (before, { record }, next) => ({
          ...next,
          content: Buffer.concat([before.content, Buffer.from(` a${record.id} `), next.content]),
        }),
        async send(plan, prompt) {
          const sentAtMs = clock.now();
          seen.plans.push(plan);
          seen.sentAtMs.push(sentAtMs);
          seen.contents.push(Buffer.from(prompt.content).toString());
          await clock.sleepUntil(sentAtMs + 100);
          const outcome = fails(plan) ? 'http' : 'good';
          const record = makeRecord({ id: plan.id, sentAtMs, endAtMs: clock.now(), outcome });
          return { record, text: null, uncounted: false };
        },
        ...(leadMs === undefined ? {} : { leadMs }),
      };
      const whole: PhaseLoad = {
        ...{ phase: 'measured', arrival: { slots: concurrency, offsetsMs: null }, count: 6 },
        ...{ untilAtMs: Number.POSITIVE_INFINITY, hold: false, turns: { count: 3, thinkMs: 0 } },
        ...load,
      };
      await clock.runUntil(drive(point(concurrency), whole, host, new AbortController().signal));
      return seen;
    }

    it('sends each turn behind the answer before it, in the slot of its conversation', async () => {
      const { plans, sentAtMs, contents } = await talk(2, {});
      expect(plans.map(({ conversation, turn }) => `${conversation}.${turn}`)).toEqual([
        ...['0.1', '1.1', '0.2', '1.2', '0.3', '1.3'],
      ]);
      expect(sentAtMs).toEqual([0, 0, 100, 100, 200, 200]);
      expect(contents).toEqual(['q0', 'q3', 'q0 a0 q1', 'q3 a1 q4', 'q0 a0 q1 a2 q2', 'q3 a1 q4 a3 q5']);
    });

    it('calls a turn due when the user has thought, and a conversation when its slot came free', async () => {
      const { plans, sentAtMs } = await talk(1, { turns: { count: 3, thinkMs: 50 } });
      expect(sentAtMs).toEqual([0, 150, 300, 400, 550, 700]);
      expect(plans.map(({ dueAtMs }) => dueAtMs)).toEqual([0, 150, 300, 400, 550, 700]);
    });

    it('leaves a conversation whose answer did not come, and begins the next', async () => {
      const { plans } = await talk(1, {}, ({ conversation, turn }) => conversation === 0 && turn === 2);
      expect(plans.map(({ conversation, turn }) => `${conversation}.${turn}`)).toEqual([
        ...['0.1', '0.2', '1.1', '1.2', '1.3'],
      ]);
    });

    it('sends no further turn after its time', async () => {
      const { sentAtMs } = await talk(1, { count: Number.POSITIVE_INFINITY, untilAtMs: 450 });
      expect(sentAtMs).toEqual([0, 100, 200, 300, 400]);
    });

    it('hands a turn over so long before the user has thought as the host sends by itself', async () => {
      const turns = { count: 3, thinkMs: 50 };
      const { plans, sentAtMs } = await talk(1, { turns, count: 3 }, undefined, 10);
      expect(sentAtMs).toEqual([0, 140, 280]);
      expect(plans.map(({ dueAtMs }) => dueAtMs)).toEqual([0, 150, 290]);
      const hasty = await talk(1, { turns: { count: 3, thinkMs: 4 }, count: 3 }, undefined, 10);
      expect(hasty.sentAtMs).toEqual([0, 100, 200]);
      expect(hasty.plans.map(({ dueAtMs }) => dueAtMs)).toEqual([0, 104, 204]);
      // Due at 150: a turn that is due when the time is over is not sent, however early it would be handed over.
      const until = async (untilAtMs: number) =>
        (await talk(1, { turns, count: 3, untilAtMs }, undefined, 10)).sentAtMs;
      expect(await until(150)).toEqual([0]);
      expect(await until(145)).toEqual([0]);
      expect(await until(150.5)).toEqual([0, 140]);
    });

    it('begins conversations by the schedule of an open loop', async () => {
      const { plans, sentAtMs } = await talk(9, { arrival: { slots: 9, offsetsMs: [10, 30] } });
      expect(sentAtMs).toEqual([10, 30, 110, 130, 210, 230]);
      expect(plans.map(({ dueAtMs, heldMs }) => [dueAtMs, heldMs])).toEqual(
        [10, 30, 110, 130, 210, 230].map((atMs) => [atMs, 0]),
      );
    });

    it('has no turn where each request stands for itself', async () => {
      const { trace } = await run(1, { count: 1 }, () => 100);
      expect(trace.plans[0]).not.toHaveProperty('turn');
    });
  });
});
