import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Client, flagWords, type Installed, type Task } from './client.ts';
import { foreignReading, readForeign } from './foreign-reading.ts';
import { findProgram, isThere } from './installed.ts';

const RESULT = 'result.jsonl';

const MEANINGS = {
  ttftMs: 'first-output',
  itlMs: 'chunk-gap',
  tpotMs: 'per-later-token',
  // To the last line of the stream, which the server writes with the last output.
  e2eMs: 'last-output',
} as const;

/** Loads the compiled client alone: the package around it would want a GPU's worth of others. */
const LOAD_RUST = [
  'import importlib.util, sys',
  'spec = importlib.util.spec_from_file_location("_bench", sys.argv[1])',
  'module = importlib.util.module_from_spec(spec)',
  'spec.loader.exec_module(module)',
  'module.run_argv(["sglang-bench", *sys.argv[2:]])',
].join('\n');

/** sglang.bench_serving, the client in Python. */
export const sglangClient: Client = {
  name: 'sglang',
  about: 'sglang.bench_serving (Python)',
  tool: 'sglang.bench_serving',
  meanings: MEANINGS,
  find: () => {
    const python = findPython();
    if (typeof python === 'string') return python;
    const script = process.env['BENCH_SGLANG_SCRIPT'];
    if (script !== undefined && script !== '') {
      if (!isThere(script)) return `BENCH_SGLANG_SCRIPT is ${script}, which cannot be read`;
      const site = path.join(path.dirname(script), 'site');
      const env = existsSync(site) ? { ...OFFLINE, PYTHONPATH: site } : OFFLINE;
      return { words: [...python.words, script], env };
    }
    return hasModule(python, 'sglang')
      ? { words: [...python.words, '-m', 'sglang.bench_serving'], env: OFFLINE }
      : `${python.words[0]} has no package sglang (name another in BENCH_SGLANG_PYTHON, or the path of bench_serving.py in BENCH_SGLANG_SCRIPT)`;
  },
  args: (task) => [...args(task), '--disable-tqdm'],
  read,
};

/** The client in Rust that newer versions of sglang have. */
export const sglangRustClient: Client = {
  name: 'sglang-rust',
  about: 'the Rust client of sglang 0.5.23 and later',
  tool: 'sglang.bench_serving',
  meanings: MEANINGS,
  find: () => {
    const python = findPython();
    if (typeof python === 'string') return python;
    const library = process.env['BENCH_SGLANG_RUST'];
    if (library !== undefined && library !== '') {
      return isThere(library)
        ? { words: [...python.words, '-c', LOAD_RUST, library], env: {} }
        : `BENCH_SGLANG_RUST is ${library}, which cannot be read`;
    }
    return hasModule(python, 'sglang.benchmark.rust_client')
      ? { words: [...python.words, '-m', 'sglang.benchmark.rust_client'], env: OFFLINE }
      : `${python.words[0]} has no sglang.benchmark.rust_client (name sglang/srt/rust_extensions/_bench.*.so of sglang 0.5.23 or later in BENCH_SGLANG_RUST)`;
  },
  args: (task) => [...args(task), ...(task.of.oneCore ? ['--worker-threads', '1'] : [])],
  read,
};

const OFFLINE = { HF_HUB_OFFLINE: '1' };

function findPython(): Installed | string {
  return findProgram('python3', 'BENCH_SGLANG_PYTHON', 'install Python 3');
}

/** Whether the package is there, which is told without loading it. */
function hasModule({ words }: Installed, name: string): boolean {
  const code = `import importlib.util, os, sys
parts = sys.argv[1].split('.')
spec = importlib.util.find_spec(parts[0])
folder = spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else None
ok = folder and (len(parts) == 1 or os.path.exists(os.path.join(folder, *parts[1:]) + '.py'))
sys.exit(0 if ok else 1)`;
  return spawnSync(words[0]!, ['-c', code, name], { stdio: 'ignore' }).status === 0;
}

/** Its own default is one request of warmup; a fault would end the run there. */
function args({ url, of, dir, tokenizer }: Task): string[] {
  const values = {
    backend: 'sglang-oai-chat',
    'base-url': url,
    model: 'mock',
    tokenizer,
    'dataset-name': 'random-ids',
    'num-prompts': of.requests,
    'random-input-len': of.isl,
    'random-output-len': of.osl,
    'random-range-ratio': 1,
    'max-concurrency': of.concurrency,
    'output-file': path.join(dir, RESULT),
  };
  return [...flagWords(values), '--output-details'];
}

function read({ dir, of }: Task) {
  return foreignReading(readForeign(path.join(dir, RESULT)).point, of.requests);
}
