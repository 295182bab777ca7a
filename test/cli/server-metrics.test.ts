import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { allTexts, bench, newOut, onlyLevel, readRun, startServer } from '../fixtures/cli.ts';

const LOAD = ['--isl', '60', '--osl', '100', '--requests', '8', '--concurrency', '4', '--warmup', '2'];

describe('--server-metrics', () => {
  it('has the server’s side in the report, from one process and from several, and tells of an address that is gone', async () => {
    const { url } = await startServer('--ttft 300ms --step 10ms');
    const out = newOut();
    const alone = await bench(['run', '--url', url, ...LOAD, '--out', out]);
    expect(alone.code, alone.stderr).toBe(0);
    const spread = newOut();
    const given = ['--server-metrics', `${url}/metrics`, '--server-metrics', 'http://127.0.0.1:1'];
    const several = await bench(['run', '--url', url, ...LOAD, '--workers', '2', ...given, '--out', spread]);
    expect(several.code, several.stderr).toBe(0);
    expect(several.stdout).toMatch(
      /! warning +no metrics from http:\/\/127\.0\.0\.1:1\/metrics in \d+ looks/,
    );
    for (const level of [onlyLevel(readRun(out)), onlyLevel(readRun(spread))]) {
      const { sources, engine, waterfall } = level.server!;
      expect(sources[0]).toMatchObject({ failures: 0, by: level.ranks === undefined ? 'target' : 'given' });
      expect(sources[0]!.samples).toBeGreaterThan(0);
      expect(engine!.running!.max).toBe(4);
      expect(engine!.ttftMs).toMatchObject({ count: 8, p50: { fromMs: 250, toMs: 500 } });
      expect(waterfall).toMatchObject({ requests: 8, doubt: null, reason: null });
      expect(waterfall.partsMs.prefill).toBeCloseTo(300, 6);
      expect(waterfall.ttftMs).toBeCloseTo(level.ttftMs.mean!, 9);
    }
    expect(readRun(spread).report.levels[0]!.server!.sources[1]).toMatchObject({ samples: 0, by: 'given' });
    expect(alone.stdout).toMatch(/TTFT +\d+ ms = prefill 300 \+ /);
  });

  it('looks nowhere when off, and refuses credentials in an address before anything is written', async () => {
    const { url } = await startServer('--ttft 5ms --step 1ms');
    const [out, none] = [newOut(), newOut()];
    const off = await bench(['run', '--url', url, ...LOAD, '--server-metrics', 'off', '--out', out]);
    expect(off.code, off.stderr).toBe(0);
    expect(onlyLevel(readRun(out)).server).toBeUndefined();
    const secret = ['--server-metrics', 'http://me:SECRET@127.0.0.1:1/metrics'];
    const refused = await bench(['run', '--url', url, ...LOAD, ...secret, '--out', none]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('--server-metrics: credentials in the URL');
    expect(refused.stderr + allTexts(out)).not.toContain('SECRET');
    expect(existsSync(none)).toBe(false);
  });
});
