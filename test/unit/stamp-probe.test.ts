import { afterEach, describe, expect, it } from 'vitest';
import { StampProbe } from '../../src/host/stamp-probe.ts';

const open: StampProbe[] = [];
afterEach(() => {
  for (const probe of open.splice(0)) probe.close();
});

/** A probe whose child runs this text for each order; `say` writes a line, `now` is CLOCK_MONOTONIC in ms. */
function probeThat(does: string): StampProbe {
  const child = `
    const say = (line) => process.stdout.write(line + '\\n');
    const now = () => Number(process.hrtime.bigint()) / 1e6;
    process.stdin.setEncoding('utf8').on('data', (text) => {
      for (const order of text.trim().split('\\n')) { ${does} }
    }).on('end', () => process.exit(0));
  `;
  const probe = new StampProbe([process.execPath, '-e', child]);
  open.push(probe);
  return probe;
}

describe('StampProbe', () => {
  it('holds its own time stamps against what the child wrote, and takes the queues from it', async () => {
    // Written 300 ms before its bytes came, 4 ms after it was due.
    const probe = probeThat(`
      if (order === 'on') {
        for (let i = 0; i < 9; i++) say('b' + (now() - 304) + ' ' + (now() - 300));
        for (const bytes of [0, 900, 0, 300]) say('q' + bytes);
      } else say('.');
    `);
    probe.begin();
    const { stampErrorMs, wakeMs, receiveQueue } = await probe.end();
    expect(stampErrorMs!.count).toBe(9);
    expect(stampErrorMs!.p50).toBeGreaterThanOrEqual(299);
    expect(stampErrorMs!.max).toBeGreaterThanOrEqual(stampErrorMs!.p50);
    expect(wakeMs!.count).toBe(9);
    expect(wakeMs!.p50).toBeCloseTo(4, 0);
    expect(receiveQueue).toEqual({ looks: 4, waitingRatio: 0.5, meanBytes: 300, maxBytes: 900 });
    // Each level begins anew.
    probe.begin();
    expect((await probe.end()).stampErrorMs!.count).toBe(9);
  });

  it('counts what a child that was kept from its processor did not write', async () => {
    const probe = probeThat("if (order === 'on') say('b' + (now() - 102) + ' ' + now()); else say('.');");
    probe.begin();
    const { stampErrorMs, wakeMs } = await probe.end();
    // 102 ms late, then as late as one would have been 5 ms later, and so on to 2 ms.
    expect(stampErrorMs!.count).toBe(1);
    expect(wakeMs!.count).toBe(21);
    expect(wakeMs!.p50).toBeCloseTo(52, 0);
  });

  it('has nothing to tell of a child that is gone, or that does not answer', async () => {
    const nothing = { stampErrorMs: null, wakeMs: null, receiveQueue: null };
    const gone = probeThat('process.exit(1)');
    gone.begin();
    expect(await gone.end()).toEqual(nothing);
    expect(await gone.end()).toEqual(nothing);
    const dumb = probeThat('');
    dumb.begin();
    expect(await dumb.end()).toEqual(nothing);
    const missing = new StampProbe(['/nowhere/node']);
    missing.begin();
    expect(await missing.end()).toEqual(nothing);
  });
});
