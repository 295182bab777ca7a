// Makes the prebuilt receivers of their C source, for all platforms alike on any machine: `python3 -m ziglang` (ziglang from
// PyPI, of the version below) compiles against an old glibc. With --check it compares instead of writing.
// BENCH_ZIG_PYTHON: the Python that has ziglang; python3 when left out.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ZIG = '0.15.2';
const GLIBC = '2.28';
const TARGETS = { 'linux-x64': 'x86_64-linux-gnu', 'linux-arm64': 'aarch64-linux-gnu' };

const root = fileURLToPath(new URL('../../', import.meta.url));
const source = 'src/endpoints/receiver';
const python = process.env.BENCH_ZIG_PYTHON ?? 'python3';
const check = process.argv.includes('--check');

const zig = (...words) => execFileSync(python, ['-m', 'ziglang', ...words], { cwd: root, encoding: 'utf8' });
const version = zig('version').trim();
if (version !== ZIG) throw new Error(`ziglang is ${version}; pip install ziglang==${ZIG}`);

const folder = mkdtempSync(path.join(os.tmpdir(), 'bench-receiver-'));
const wrong = [];
try {
  for (const [platform, target] of Object.entries(TARGETS)) {
    const made = path.join(folder, `${platform}.node`);
    const words = [
      'cc',
      '-target',
      `${target}.${GLIBC}`,
      '-std=c11',
      '-O2',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-fPIC',
    ];
    words.push('-shared', '-s', '-I', 'node_modules/node-api-headers/include', '-o', made);
    zig(...words, `${source}/receiver.c`, `${source}/binding.c`);
    const kept = path.join(root, source, 'prebuilds', platform, 'receiver.node');
    const bytes = readFileSync(made);
    if (check) {
      if (!bytes.equals(readFileSync(kept))) wrong.push(kept);
    } else {
      mkdirSync(path.dirname(kept), { recursive: true });
      writeFileSync(kept, bytes, { mode: 0o755 });
    }
    process.stdout.write(`${platform}: ${bytes.length} bytes\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (wrong.length > 0)
  throw new Error(`not what its source gives, make it anew with npm run receiver: ${wrong.join(', ')}`);
