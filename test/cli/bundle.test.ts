import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { bench, makeFolder, newOut, readRun } from '../fixtures/cli.ts';

const MOCK = ['--mock', '--mock-flags', '--ttft 1ms --step 1ms'];
const LOAD = ['--isl', '20', '--osl', '3', '--concurrency', '1,2', '--pause', '0s'];
const NOWHERE = ['--url', 'http://127.0.0.1:9'];
/** In a namespace of its own, with a file system at $TMPDIR of which nothing may be executed. */
const NO_EXEC = `unshare --user --map-root-user --mount bash -c 'mount -t tmpfs -o noexec tmpfs "$TMPDIR" && exec "$@"' bash`;

function canMount(): boolean {
  const env = { ...process.env, TMPDIR: makeFolder() };
  if (spawnSync('bash', ['-c', `${NO_EXEC} true`], { env }).status === 0) return true;
  console.warn('*** NOT RUN: a temporary folder without execution. unshare and mount do not work here ***');
  return false;
}

describe('the program in one file', () => {
  let folder: string;
  let entry: string;

  beforeAll(() => {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    execFileSync(process.execPath, ['src/build/build.mjs', '--one-file'], {
      cwd: root,
      // No compiler, no Python.
      env: { PATH: path.join(root, 'src') },
      stdio: 'pipe',
    });
    folder = makeFolder();
    entry = path.join(folder, 'bench.mjs');
    copyFileSync(path.join(root, 'bench.mjs'), entry);
  });

  it('runs where nothing but Node is, with the stamps of the kernel, and leaves nothing behind', async () => {
    const cwd = path.join(folder, 'empty');
    const temporary = path.join(folder, 'temporary');
    for (const made of [cwd, temporary]) mkdirSync(made);
    const flags = ['--mock', '--mock-flags', '--ttft 5ms --step 1ms --no-usage'];
    const load = ['--isl', '400', '--osl', '20', '--concurrency', '1,3', '--pause', '0s', '--require-exact'];
    const env = { TMPDIR: temporary };
    const ended = await bench(['sweep', ...flags, ...load, '--out', 'out'], { entry, cwd, env });
    expect(ended.code).toBe(0);
    expect(ended.stderr).toMatch(/^(\[\d+\/\d+\] C=\d+ \S+ {2}\d+ done in .*\n)+$/);
    const { report } = readRun(path.join(cwd, 'out'));
    expect(report.levels.map(({ requests }) => requests.good)).toEqual([4, 12]);
    expect(report.levels.every(({ islProof }) => islProof.deviations === 0)).toBe(true);
    expect(report.levels[0]!.chunkTokensBy).toEqual({ tokenizer: 4 });
    expect(report.levels.map(({ audit }) => audit!.stampedBy)).toEqual(['kernel', 'kernel']);
    // Some of the reads had the kernel's stamp: the receiver was there, and took it.
    for (const { audit } of report.levels) expect(audit!.reads!.unstamped).toBeLessThan(audit!.reads!.count);
    expect(readdirSync(temporary)).toEqual([]);
    expect(readdirSync(cwd)).toEqual(['out']);
    for (const text of ['words', 'corpus']) {
      const ask = ['prompts', '--isl', '300', '--count', '2', '--text', text, '--seed', '1', '--salt', 's'];
      const bundled = await bench(ask, { entry, cwd });
      expect(bundled).toEqual(await bench(ask));
    }
    expect((await bench(['--version'], { entry })).stdout).toBe((await bench(['--version'])).stdout);
  });

  it.skipIf(!canMount() && !process.env['CI'])(
    'says once why it has no stamps of the kernel, where the temporary folder is mounted noexec',
    async () => {
      const env = { TMPDIR: makeFolder() };
      const run = (args: readonly string[]) => bench(args, { entry, env, shell: `set -- ${NO_EXEC} "$@"` });
      const why = /the receiver for \S+ cannot be loaded: \S+receiver\.node: failed to map segment/;
      const out = newOut();
      const ended = await run(['sweep', ...MOCK, ...LOAD, '--out', out]);
      expect(ended.code).toBe(0);
      const [note, ...lines] = ended.stderr.trimEnd().split('\n');
      expect(note).toMatch(/^note: time stamps are those of the event loop, not the kernel's: /);
      expect(note).toMatch(why);
      expect(lines).toEqual([expect.stringMatching(/^\[1\/2\] /), expect.stringMatching(/^\[2\/2\] /)]);
      const { report } = readRun(out);
      expect(report.levels.map(({ audit }) => audit!.stampedBy)).toEqual(['process', 'process']);
      expect(report.warnings).toContain(note!.slice('note: '.length));

      const refused = await run(['sweep', ...NOWHERE, ...LOAD, '--wire', 'kernel', '--out', newOut()]);
      expect(refused.code).toBe(2);
      const [error, ...hints] = refused.stderr.trimEnd().split('\n');
      expect(error).toMatch(/^bench: --wire kernel: /);
      expect(error).toMatch(why);
      expect(hints).toEqual(['  leave it out, or use --wire socket']);
    },
  );

  it.each([
    'none',
    'bench.mjs',
  ])('refuses a temporary folder that is none (%s), for prompts lie there', async (name) => {
    const env = { TMPDIR: path.join(folder, name) };
    const out = newOut();
    const ended = await bench(['sweep', ...MOCK, ...LOAD, '--wire', 'kernel', '--out', out], { entry, env });
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/^bench: cannot make a temporary folder in [^\n]*\n {2}[^\n]*\bTMPDIR\n$/);
    expect(existsSync(out)).toBe(false);
  });
});
