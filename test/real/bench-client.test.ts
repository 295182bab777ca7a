import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

interface Reading {
  readonly client: string;
  readonly missing: string;
  readonly eventsPerS: number | null;
  readonly cpuUsPerEvent: number | null;
  readonly processCpuUsPerEvent: number | null;
  readonly stampErrorMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
}

interface Told {
  readonly results: readonly {
    readonly scene: { readonly name: string };
    readonly readings: readonly Reading[];
    readonly verdicts: readonly { readonly met: boolean; readonly text: string }[];
  }[];
}

const BENCH = fileURLToPath(new URL('../bench/client.mjs', import.meta.url));

describe('npm run bench:client', () => {
  it('reads every client of every scene, and says which is not installed', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [BENCH, '--short', '--json']);
    const { results } = JSON.parse(stdout) as Told;
    const own = [
      'C epoll reader, no JSON',
      'the same, kernel stamps',
      'bare Node socket, no HTTP',
      'bench sweep',
    ];
    const rivals = ['sglang 0.5.23, Rust', 'sglang 0.5.5, Python'];
    expect(results.map(({ scene, readings }) => [scene.name, readings.map(({ client }) => client)])).toEqual([
      ['flooded', [...own, ...rivals]],
      ['paced', [...own, ...rivals]],
      ['memory', own],
    ]);
    for (const { readings } of results) {
      for (const reading of readings) {
        if (reading.missing !== '') {
          expect(rivals).toContain(reading.client);
          expect(reading.eventsPerS).toBeNull();
          continue;
        }
        expect(reading.eventsPerS).toBeGreaterThan(0);
        expect(reading.cpuUsPerEvent ?? reading.processCpuUsPerEvent).not.toBeNull();
      }
    }
    const paced = results.find(({ scene }) => scene.name === 'paced')!;
    for (const { stampErrorMs } of [paced.readings[0]!, paced.readings[1]!, paced.readings[3]!]) {
      // A stamp is never before its write.
      expect(stampErrorMs!.p50).toBeGreaterThan(0);
      expect(stampErrorMs!.p99).toBeGreaterThanOrEqual(stampErrorMs!.p50);
    }
    const compared = paced.verdicts.map(({ text }) => text.split(':')[0]);
    expect(compared).toContain("CPU ÷ the C reader's");
    expect(compared).toContain('stamp error, p99 in ms');
    const installed = (nth: number): boolean => paced.readings[nth]!.missing === '';
    expect(compared.includes("CPU ÷ sglang Rust's")).toBe(installed(4));
    expect(compared.includes("sglang Python's CPU ÷ ours")).toBe(installed(5));
  });
});
