import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeFolder } from '../fixtures/cli.ts';
import { notRun } from './not-run.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const GIVEN = process.env['BENCH_ZIG_PYTHON'] ?? path.join(import.meta.dirname, '.zig/bin/python');
/** A name alone is looked for in PATH. */
const PYTHON = GIVEN.includes('/') ? path.resolve(GIVEN) : GIVEN;
const PREBUILDS = 'src/endpoints/receiver/prebuilds';
const PLATFORMS = ['linux-x64', 'linux-arm64'];
const GLIBC = [2, 28];

function missingHere(): string | null {
  if (spawnSync(PYTHON, ['-m', 'ziglang', 'version']).status !== 0)
    return `no ziglang in ${PYTHON} (.ci/run installs it there, or BENCH_ZIG_PYTHON)`;
  return spawnSync('objdump', ['--version']).status === 0 ? null : 'no objdump (apt-get install binutils)';
}

const missing = notRun('the prebuilt receivers, against their source', missingHere());

describe.skipIf(missing !== null)('the prebuilt receivers', () => {
  const folder = path.join(makeFolder(), 'another folder');
  const kept = (platform: string): string => path.join(ROOT, PREBUILDS, platform, 'receiver.node');

  beforeAll(() => {
    for (const name of ['src/build', 'src/endpoints/receiver', 'node_modules/node-api-headers'])
      cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true });
    mkdirSync(path.join(folder, 'home'));
  });

  /** `npm run receiver` in the other folder, for another user, who has compiled nothing yet. */
  function receiver(...flags: string[]): { code: number | null; stdout: string; stderr: string } {
    const env = {
      PATH: process.env['PATH'],
      HOME: path.join(folder, 'home'),
      USER: 'another',
      BENCH_ZIG_PYTHON: PYTHON,
    };
    const words = [path.join(folder, 'src/build/receiver.mjs'), ...flags];
    const ended = spawnSync(process.execPath, words, { cwd: '/', env, encoding: 'utf8' });
    return { code: ended.status, stdout: ended.stdout, stderr: ended.stderr };
  }

  it('are what their source gives, byte for byte, in any folder and for any user', () => {
    const ended = receiver('--check');
    const sizes = PLATFORMS.map((name) => `${name}: ${readFileSync(kept(name)).length} bytes\n`);
    expect(ended).toEqual({ code: 0, stdout: sizes.join(''), stderr: '' });
  });

  it('are not, once a word of the source is another', () => {
    const source = path.join(folder, 'src/endpoints/receiver/binding.c');
    const text = readFileSync(source, 'utf8');
    const changed = text.replace('the receiver is not running', 'the receiver does not run');
    expect(changed).not.toBe(text);
    writeFileSync(source, changed);
    const { code, stderr } = receiver('--check');
    expect(code).toBe(1);
    for (const name of PLATFORMS)
      expect(stderr).toContain(path.join(folder, PREBUILDS, name, 'receiver.node'));
    receiver();
    for (const name of PLATFORMS) {
      const made = readFileSync(path.join(folder, PREBUILDS, name, 'receiver.node'));
      expect(made.equals(readFileSync(kept(name)))).toBe(false);
    }
    expect(receiver('--check').code).toBe(0);
  });

  it.each(PLATFORMS)('need no more than an old C library: %s', (name) => {
    const objdump = (flag: string): string =>
      execFileSync('objdump', [flag, kept(name)], { encoding: 'utf8' });
    const needed = [...objdump('-p').matchAll(/^ +NEEDED +(\S+)$/gm)].map(([, library]) => library!);
    expect(needed).toContain('libc.so.6');
    expect(
      needed.filter((library) => !/^(libc\.so\.6|libpthread\.so\.0|ld-linux-.*)$/.test(library)),
    ).toEqual([]);
    const symbols = objdump('-T');
    const versions = [...symbols.matchAll(/\bGLIBC_([\d.]+)/g)].map(([, version]) =>
      version!.split('.').map(Number),
    );
    expect(versions.length).toBeGreaterThan(20);
    for (const [major, minor] of versions) expect([major, minor! <= GLIBC[1]!]).toEqual([GLIBC[0], true]);
    // Beside the C library's there are those of Node-API alone.
    const foreign = symbols.split('\n').filter((line) => /\*UND\*/.test(line) && !/GLIBC_/.test(line));
    expect(
      foreign.map((line) => line.split(' ').at(-1)).filter((symbol) => !symbol!.startsWith('napi_')),
    ).toEqual([]);
  });
});
