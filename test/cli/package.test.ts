import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { bench, makeFolder, newOut, readRun } from '../fixtures/cli.ts';

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const platforms = ['linux-arm64', 'linux-x64'];
const here = `${process.platform}-${process.arch}`;
const LOAD = ['--isl', '20', '--osl', '3', '--concurrency', '1', '--pause', '0s'];
const MOCK = ['--mock', '--mock-flags', '--ttft 1ms --step 1ms'];

describe('the package', () => {
  let packed: Packed;
  let installed: string;

  beforeAll(() => {
    const folder = makeFolder();
    const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
    const text = execFileSync('npm', pack, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    packed = (JSON.parse(text) as Packed[])[0]!;
    execFileSync('tar', ['-xf', path.join(folder, packed.filename), '-C', folder]);
    installed = path.join(folder, 'package');
  });

  it('holds the program, both receivers and the data, and no more', () => {
    const names = packed.files.map((file) => file.path);
    const parts = names.filter((name) => name.startsWith('dist/'));
    expect(parts.filter((name) => !/^dist\/part-[\w-]+\.js$/.test(name))).toEqual([
      'dist/main.js',
      ...platforms.map((platform) => `dist/receivers/${platform}/receiver.node`),
    ]);
    const others = names.filter((name) => !name.startsWith('dist/') && !name.startsWith('datasets/'));
    expect(others).toEqual(['LICENSE', 'README.md', 'package.json', 'src/core/report.schema.json']);
    expect(packed.files.find((file) => file.path === 'dist/main.js')!.mode & 0o111).toBe(0o111);
    for (const platform of platforms) {
      const built = readFileSync(path.join(installed, `dist/receivers/${platform}/receiver.node`));
      const kept = readFileSync(
        path.join(root, `src/endpoints/receiver/prebuilds/${platform}/receiver.node`),
      );
      expect(built.equals(kept)).toBe(true);
      // ELF, of 64 bits; then the machine: 62 is x86-64, 183 AArch64.
      expect(built.subarray(0, 5).toString('latin1')).toBe('\x7fELF\x02');
      expect(built.readUInt16LE(18)).toBe(platform === 'linux-x64' ? 62 : 183);
    }
  });

  it('runs by itself, with the stamps of the kernel', async () => {
    const entry = path.join(installed, 'dist/main.js');
    expect(existsSync(path.join(installed, 'node_modules'))).toBe(false);
    const out = newOut();
    const ended = await bench(['sweep', ...MOCK, ...LOAD, '--wire', 'kernel', '--out', out], { entry });
    expect([ended.code, ended.stderr]).toEqual([0, expect.stringMatching(/^\[1\/1\] [^\n]*\n$/)]);
    expect(readRun(out).report.levels.map(({ audit }) => audit!.stampedBy)).toEqual(['kernel']);
  });

  const file = (folder: string): string => path.join(folder, 'dist/receivers', here, 'receiver.node');
  it.each<[what: string, spoil: (folder: string) => void, reason: string]>([
    ['missing', (folder) => rmSync(file(folder)), 'no such file'],
    // Loaded, this one would end the process with SIGBUS.
    ['cut short', (folder) => truncateSync(file(folder), 8_192), 'is not the file of this version'],
    [
      // Loaded, this one would end the process with SIGSEGV.
      'damaged',
      (folder) => {
        const bytes = readFileSync(file(folder));
        writeFileSync(file(folder), bytes.fill(0x55, bytes.length / 2, (bytes.length * 3) / 4));
      },
      'is not the file of this version',
    ],
  ])('goes on with the stamps of the event loop where its receiver is %s', async (_, spoil, reason) => {
    const folder = makeFolder();
    cpSync(installed, folder, { recursive: true });
    spoil(folder);
    const entry = path.join(folder, 'dist/main.js');
    const out = newOut();
    const why = `the receiver for ${here} cannot be loaded: `;
    const ended = await bench(['sweep', ...MOCK, ...LOAD, '--out', out], { entry });
    expect(ended.code).toBe(0);
    const [note, ...lines] = ended.stderr.trimEnd().split('\n');
    expect(note).toContain(`note: time stamps are those of the event loop, not the kernel's: ${why}`);
    expect(note).toContain(reason);
    expect(lines).toEqual([expect.stringMatching(/^\[1\/1\] /)]);
    const { report } = readRun(out);
    expect(report.levels.map(({ audit }) => audit!.stampedBy)).toEqual(['process']);
    expect(report.warnings).toContain(note!.slice('note: '.length));
    const nowhere = ['--url', 'http://127.0.0.1:9', ...LOAD];
    const refused = await bench(['sweep', ...nowhere, '--wire', 'kernel', '--out', newOut()], { entry });
    expect(refused.code).toBe(2);
    const [error, hint, ...more] = refused.stderr.trimEnd().split('\n');
    expect(error).toContain(`bench: --wire kernel: ${why}`);
    expect(error).toContain(reason);
    expect([hint, ...more]).toEqual(['  leave it out, or use --wire socket']);
  });
});

describe('the sources', () => {
  it('hold the receivers and what they are made of', () => {
    const tracked = execFileSync('git', ['ls-files', 'src/endpoints/receiver'], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(tracked.split('\n')).toEqual(
      expect.arrayContaining([
        ...['binding.c', 'receiver.c', 'receiver.h'].map((name) => `src/endpoints/receiver/${name}`),
        ...platforms.map((platform) => `src/endpoints/receiver/prebuilds/${platform}/receiver.node`),
      ]),
    );
  });

  it('are installed and built with Node alone', () => {
    const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean }>;
    };
    const scripts = Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript);
    // It looks whether its binary runs.
    expect(scripts.map(([name]) => name)).toEqual(['node_modules/esbuild']);

    const folder = makeFolder();
    for (const name of ['src', 'package.json'])
      cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
    mkdirSync(path.join(folder, 'node_modules'));
    // A compiler would need it.
    for (const name of readdirSync(path.join(root, 'node_modules')))
      if (name !== 'node-api-headers')
        symlinkSync(path.join(root, 'node_modules', name), path.join(folder, 'node_modules', name));
    const env = { PATH: path.join(folder, 'nothing') };
    execFileSync(process.execPath, ['src/build/build.mjs'], { cwd: folder, env, stdio: 'pipe' });
    const same = (name: string): boolean =>
      readFileSync(path.join(folder, name)).equals(readFileSync(path.join(root, name)));
    for (const platform of platforms) expect(same(`dist/receivers/${platform}/receiver.node`)).toBe(true);
    expect(existsSync(path.join(folder, 'dist/main.js'))).toBe(true);
  });
});
