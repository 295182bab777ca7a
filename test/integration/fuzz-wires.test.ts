import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nativeReceiver } from '../../src/endpoints/receiver/native.ts';
import { fuzzWires, startFuzzServer } from '../bench/fuzz-wires.ts';

const SEED = 1;
const STREAMS = 2_500;

const receiver = nativeReceiver();
if (typeof receiver === 'string')
  console.warn(`\n*** NOT RUN: random streams over the kernel wire. ${receiver} ***\n`);

/** `npm run fuzz:wires` is the long form. */
describe('random streams, cut at random places', () => {
  let server: Awaited<ReturnType<typeof startFuzzServer>>;

  beforeAll(async () => {
    server = await startFuzzServer(SEED);
  });

  afterAll(() => server.close());

  it('make the record that their sender expects, over each wire', async () => {
    const wires = typeof receiver === 'string' ? (['socket', 'undici'] as const) : undefined;
    const { wrong, streams, outcomes } = await fuzzWires(server.port, SEED, STREAMS, wires ? { wires } : {});
    expect(wrong).toEqual([]);
    expect(streams).toBe(STREAMS);
    expect(outcomes['good']).toBeGreaterThan(0.8 * STREAMS);
    expect(Object.keys(outcomes)).toEqual(
      expect.arrayContaining([
        'truncated',
        'error-event',
        'malformed',
        'http',
        'empty',
        'aborted',
        'filtered',
      ]),
    );
  });
});
