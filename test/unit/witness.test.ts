import { describe, expect, it } from 'vitest';
import { ServerWitness } from '../../src/commands/witness.ts';
import type { Control } from '../../src/endpoints/control.ts';
import { parseTarget } from '../../src/endpoints/target.ts';
import { makeRecord } from '../fixtures/records.ts';

const SERIES = { requests: 'req', inputTokens: 'in', outputTokens: 'out' };

/** A server whose counters are what the test says, look by look; the last ones stay. */
function serverWith(looks: readonly (readonly [requests: number, input: number, output: number])[]) {
  let nth = 0;
  const control = {
    target: parseTarget('http://h', '--url'),
    get: () => {
      const [requests, input, output] = looks[Math.min(nth++, looks.length - 1)]!;
      const body = `req ${requests}\nin ${input}\nout ${output}\n`;
      return Promise.resolve({ status: 200, body, error: null });
    },
  } as unknown as Control;
  return { witness: new ServerWitness([control], SERIES), looks: () => nth };
}

describe('the counters of a server', () => {
  it('may have a request that was sent twice once or twice, and are not waited for longer', async () => {
    const records = [makeRecord({}), makeRecord({ resent: true, promptTokens: 70 }), makeRecord({})];
    const { witness, looks } = serverWith([
      [5, 500, 50],
      [5, 500, 50],
      [9, 840, 59],
    ]);
    await witness.before();
    expect(await witness.after(records, false)).toEqual({
      source: 'http://h/metrics',
      requests: { server: 4, ours: 3, resent: 1 },
      inputTokens: { server: 340, ours: 270, resent: 70 },
      outputTokens: { server: 9, ours: 9, resent: 3 },
      reason: null,
    });
    expect(looks()).toBe(3);
  });

  it('have no allowance where nothing was sent twice', async () => {
    const { witness } = serverWith([
      [0, 0, 0],
      [0, 0, 0],
      [1, 100, 3],
    ]);
    await witness.before();
    expect(await witness.after([makeRecord({})], false)).toMatchObject({
      requests: { server: 1, ours: 1 },
      reason: null,
    });
    expect((await witness.after([makeRecord({})], false)).requests).not.toHaveProperty('resent');
  });
});
