// The clients of others that the benchmarks put beside this one: where they are, and how they are started.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { work } from './rig.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const real = path.join(here, '../real');
const rivals = path.join(here, '.rivals');
const datasets = path.join(here, '../../datasets/tokenizer');

/**
 * @typedef {object} Rival
 * @property {string} name
 * @property {readonly string[]} command Empty when the client is not installed.
 * @property {string} missing Why not; empty when it is.
 */

/** What installs the rivals of the client benchmark. */
export const INSTALL = 'test/bench/install-rivals.sh';

/** @returns {string} The Python that runs sglang's client. */
export function sglangPython() {
  const named = process.env['BENCH_SGLANG_PYTHON'] ?? process.env['BENCH_DYNAMO_PYTHON'];
  if (named !== undefined) return named;
  const venvs = [path.join(real, '.venv/bin/python'), path.join(rivals, 'venv/bin/python')];
  return venvs.find((file) => existsSync(file)) ?? /** @type {string} */ (venvs[0]);
}

/** @returns {Rival} sglang.bench_serving 0.5.5, in Python. */
export function sglangPythonClient() {
  const python = sglangPython();
  const script = process.env['BENCH_SGLANG_SCRIPT'] ?? path.join(real, '.sglang/bench_serving.py');
  const missing = [python, script].find((file) => !existsSync(file));
  return {
    name: 'sglang 0.5.5, Python',
    missing: missing === undefined ? '' : `no ${path.relative(process.cwd(), missing)}`,
    command:
      missing === undefined
        ? ['env', 'HF_HUB_OFFLINE=1', `PYTHONPATH=${path.join(real, '.sglang/site')}`, python, script]
        : [],
  };
}

/** @returns {Rival} sglang's Rust client, as a Python extension of sglang 0.5.23's wheel. */
export function sglangRustClient() {
  const folder = path.join(rivals, 'rust');
  const installed = existsSync(folder) && readdirSync(folder).some((file) => file.startsWith('_bench.'));
  const start = 'import sys; sys.path.insert(0, sys.argv.pop(1)); import _bench; _bench.run_argv(sys.argv)';
  return {
    name: 'sglang 0.5.23, Rust',
    missing: installed ? '' : `no ${path.relative(process.cwd(), folder)}`,
    command: installed ? [sglangPython(), '-c', start, folder] : [],
  };
}

/**
 * Flags that all clients of sglang's kind take.
 * @param {string} port
 * @param {{ streams: number, requests: number, tokens: number }} of
 * @param {{ tokenizer: string, sharegpt: string, output: string }} files
 * @returns {string[]}
 */
export function sglangFlags(port, of, { tokenizer, sharegpt, output }) {
  const flags = {
    backend: 'sglang-oai-chat',
    'base-url': `http://127.0.0.1:${port}`,
    model: 'c-server',
    tokenizer,
    'dataset-name': 'random',
    'dataset-path': sharegpt,
    'num-prompts': of.requests,
    'random-input-len': 32,
    'random-output-len': of.tokens,
    'random-range-ratio': '1.0',
    'max-concurrency': of.streams,
    seed: 1,
    'output-file': output,
  };
  return [
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
    '--disable-tqdm',
  ];
}

/** A folder that all clients take for a tokenizer. */
export function makeTokenizer() {
  const folder = path.join(work, 'tokenizer');
  mkdirSync(folder);
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(path.join(datasets, file), path.join(folder, file));
  }
  return folder;
}

/**
 * Conversations for all prompts: sglang sends no more requests than there are.
 * @param {number} requests
 */
export function makeShareGpt(requests) {
  const words = readFileSync(path.join(datasets, 'words.txt'), 'utf8').trimEnd().split('\n');
  const conversations = Array.from({ length: requests }, (_, i) => ({
    conversations: [
      {
        from: 'human',
        value: Array.from({ length: 40 }, (_, k) => words[(i * 7 + k * 13) % words.length]).join(' '),
      },
      { from: 'gpt', value: 'yes' },
    ],
  }));
  const file = path.join(work, 'sharegpt.json');
  writeFileSync(file, JSON.stringify(conversations));
  return file;
}
