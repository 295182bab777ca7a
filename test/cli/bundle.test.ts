import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { bench, makeFolder, readRun } from '../fixtures/cli.ts';

describe('the program in one file', () => {
  it('runs where nothing but Node is', async () => {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    execFileSync(process.execPath, ['src/build/build.mjs', '--one-file'], { cwd: root, stdio: 'pipe' });
    const folder = makeFolder();
    const entry = path.join(folder, 'bench.mjs');
    copyFileSync(path.join(root, 'bench.mjs'), entry);
    const cwd = path.join(folder, 'empty');
    mkdirSync(cwd);
    const flags = ['--mock', '--mock-flags', '--ttft 5ms --step 1ms --no-usage'];
    const load = ['--isl', '400', '--osl', '20', '--concurrency', '1,3', '--pause', '0s', '--require-exact'];
    const ended = await bench(['sweep', ...flags, ...load, '--out', 'out'], { entry, cwd });
    expect(ended.code).toBe(0);
    expect(ended.stderr).toMatch(/^(\[\d+\/\d+\] C=\d+ \S+ {2}\d+ done in .*\n)+$/);
    const { report } = readRun(path.join(cwd, 'out'));
    expect(report.levels.map(({ requests }) => requests.good)).toEqual([4, 12]);
    expect(report.levels.every(({ islProof }) => islProof.deviations === 0)).toBe(true);
    expect(report.levels[0]!.chunkTokensBy).toEqual({ tokenizer: 4 });
    for (const text of ['words', 'corpus']) {
      const ask = ['prompts', '--isl', '300', '--count', '2', '--text', text, '--seed', '1', '--salt', 's'];
      const bundled = await bench(ask, { entry, cwd });
      expect(bundled).toEqual(await bench(ask));
    }
    expect((await bench(['--version'], { entry })).stdout).toBe((await bench(['--version'])).stdout);
  });
});
