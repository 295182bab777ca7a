import { spawn } from 'node:child_process';
import os from 'node:os';
import { describe, expect, it } from 'vitest';
import { OtherWork } from '../../src/commands/conformance/other-work.ts';

describe('work of others on the cores', () => {
  it('is what is busy less the groups that are meant to be', async () => {
    let pid: number | undefined;
    const ours = new OtherWork(() => [pid]);
    const all = new OtherWork(() => []);
    // As much as a core gives it in the time: how much that is, is nobody's verdict here.
    const child = spawn(process.execPath, ['-e', 'for (const end = Date.now() + 600; Date.now() < end; );'], {
      detached: true,
      stdio: 'ignore',
    });
    pid = child.pid;
    const startedAtMs = performance.now();
    await new Promise((resolve) => child.once('exit', resolve));
    const coreMs = os.cpus().length * (performance.now() - startedAtMs);
    const withoutIt = ours.stop()!;
    const withIt = all.stop()!;
    expect(withIt).toBeGreaterThan(0);
    // A busy machine may have given it little, yet what it got is in one and not in the other.
    expect(withIt - withoutIt).toBeGreaterThan(0);
    expect(withIt - withoutIt).toBeLessThan(700 / coreMs);
  });
});
