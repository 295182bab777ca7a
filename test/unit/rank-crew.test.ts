import { describe, expect, it } from 'vitest';
import type { RankChannel, RankListener } from '../../src/commands/ranks/channel.ts';
import { Crew } from '../../src/commands/ranks/crew.ts';
import type { Order } from '../../src/commands/ranks/protocol.ts';
import { EXIT } from '../../src/core/errors.ts';

class FakeChannel implements RankChannel {
  readonly orders: Order[] = [];
  #listener: RankListener | null = null;

  start(listener: RankListener): void {
    this.#listener = listener;
  }

  send(order: Order): void {
    this.orders.push(order);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  get ranks(): RankListener {
    return this.#listener!;
  }
}

function startCrew(silenceMs = 60_000, startMs = 60_000) {
  const channel = new FakeChannel();
  const crew = new Crew(channel, { ranks: 2, silenceMs, startMs, logged: () => undefined });
  crew.start();
  const hello = (rank: number): void =>
    channel.ranks.answered(rank, { kind: 'hello', host: `n${rank}`, originUtcMs: rank });
  return { channel, crew, hello };
}

const armed = { kind: 'armed' } as const;

describe('a crew of ranks', () => {
  it('gives one answer of each, in the order of the ranks, whenever they came', async () => {
    const { channel, crew, hello } = startCrew();
    hello(1);
    const hellos = crew.collect('hello', [0, 1]);
    hello(0);
    expect((await hellos).map(({ answer }) => answer.host)).toEqual(['n0', 'n1']);
    channel.ranks.answered(1, armed);
    expect(await crew.collect('armed', [1])).toHaveLength(1);
    // An answer counts once.
    const again = crew.collect('armed', [1]);
    expect(await Promise.race([again, Promise.resolve('open')])).toBe('open');
    channel.ranks.answered(1, armed);
    await again;
    await crew.close();
    expect(channel.orders.at(-1)).toEqual({ kind: 'quit' });
  });

  it('fails as a whole with the first rank that ends, and names it', async () => {
    const { channel, crew, hello } = startCrew();
    hello(0);
    hello(1);
    const wait = crew.collect('armed', [0, 1]);
    channel.ranks.ended({ rank: 1, host: 'n1', how: 'killed by SIGKILL (exit code 137)' });
    channel.ranks.ended({ rank: 0, host: 'n0', how: 'exit code 143' });
    await expect(wait).rejects.toMatchObject({
      exitCode: EXIT.launch,
      message: 'rank 1 on n1 ended before its time: killed by SIGKILL (exit code 137)',
    });
    await expect(crew.collect('armed', [0])).rejects.toBe(crew.failure);
    await crew.close();
  });

  it('believes what a rank says of its failure more than how it ended', async () => {
    const { channel, crew, hello } = startCrew();
    hello(0);
    const wait = crew.collect('ready', [0]);
    channel.ranks.ended({ rank: 0, host: 'n0', how: 'exit code 3' });
    const said = { message: 'no server', hint: 'look', exitCode: EXIT.target };
    channel.ranks.answered(0, { kind: 'failed', ...said });
    await expect(wait).rejects.toMatchObject({ ...said, message: 'rank 0 on n0: no server' });
    await crew.close();
  });

  it('fails when a rank falls silent, and not when all have something to say', async () => {
    const { channel, crew, hello } = startCrew(1_500);
    hello(0);
    hello(1);
    const beats = setInterval(() => channel.ranks.answered(0, { kind: 'beat', beat: null }), 200);
    await expect(crew.collect('armed', [0])).rejects.toMatchObject({
      exitCode: EXIT.launch,
      message: 'rank 1 on n1 has said nothing for 1.5 s',
    });
    clearInterval(beats);
    await crew.close();
  });

  it('fails when a rank does not come at all', async () => {
    const { crew, hello } = startCrew(60_000, 500);
    hello(0);
    await expect(crew.collect('hello', [0, 1])).rejects.toMatchObject({
      message: 'rank 1 of the load generators was not there within 0.5 s',
    });
    await crew.close();
  });

  it('sums what is in flight, and forgets a rank that is gone', async () => {
    const { channel, crew } = startCrew();
    const beat = { phase: 'measured', ended: 1, failed: 0, tokens: 5, ttftsMs: [], inFlight: 3 } as const;
    const seen: number[] = [];
    crew.onBeat = ({ tokens }) => seen.push(tokens);
    for (const rank of [0, 1]) channel.ranks.answered(rank, { kind: 'beat', beat });
    expect(crew.inFlight).toBe(6);
    expect(seen).toEqual([5, 5]);
    channel.ranks.answered(0, { kind: 'beat', beat: null });
    expect(crew.inFlight).toBe(3);
    channel.ranks.ended({ rank: 1, host: null, how: 'exit code 1' });
    expect(crew.inFlight).toBe(0);
    await crew.close();
  });

  it('gathers what came, without waiting for the dead', async () => {
    const { channel, crew } = startCrew();
    channel.ranks.answered(0, armed);
    channel.ranks.ended({ rank: 1, host: null, how: 'exit code 1' });
    const startedMs = performance.now();
    expect([...(await crew.gather('armed', [0, 1], 60_000)).keys()]).toEqual([0]);
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    await crew.close();
  });

  it('lets an interruption end a wait', async () => {
    const { crew } = startCrew();
    const stop = new AbortController();
    const wait = crew.collect('hello', [0], stop.signal);
    stop.abort();
    await expect(wait).rejects.toMatchObject({ exitCode: EXIT.interrupted });
    await crew.close();
  });
});
