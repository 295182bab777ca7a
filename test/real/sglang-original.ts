import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Random } from '../../src/core/random.ts';
import { dynamoPython } from './dynamo.ts';

const here = path.dirname(fileURLToPath(import.meta.url));
const embedded = path.join(here, '../../datasets/tokenizer');
/** The packages of sglang's own versions that lie before those of the Python used. */
const site = path.join(here, '.sglang/site');

/** One line of an `--output-file`, its keys in order; the bare tokens of Python are texts here. */
export type SglangLine = Readonly<Record<string, unknown>>;

export interface OriginalRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What the run appended to its output file; null when it appended nothing. */
  readonly text: string | null;
}

/** The Python that runs the original: `BENCH_SGLANG_PYTHON`, else Dynamo's. */
function sglangPython(): string {
  return process.env['BENCH_SGLANG_PYTHON'] ?? dynamoPython();
}

/** The original: `BENCH_SGLANG_SCRIPT`, else what `fetch-sglang.sh` put here. */
function sglangScript(): string {
  return process.env['BENCH_SGLANG_SCRIPT'] ?? path.join(here, '.sglang/bench_serving.py');
}

/** Why the original cannot be run here, in one line; null when it can. */
export function sglangMissing(): string | null {
  for (const file of [sglangPython(), sglangScript()]) {
    if (!existsSync(file)) return `no ${file}; run test/real/fetch-sglang.sh`;
  }
  return null;
}

/**
 * Runs the original in `workDir` until it ends, or is killed after `timeoutMs`; no hub is asked for anything.
 * Its output file is `outputFile`, which must not be there yet.
 */
export async function runOriginal(
  args: readonly string[],
  options: {
    readonly workDir: string;
    readonly outputFile: string;
    readonly timeoutMs?: number;
    readonly env?: Readonly<Record<string, string>>;
  },
): Promise<OriginalRun> {
  const { workDir, outputFile, timeoutMs = 60_000 } = options;
  const child = spawn(
    sglangPython(),
    [sglangScript(), ...args, '--output-file', outputFile, '--disable-tqdm'],
    {
      cwd: workDir,
      env: {
        PATH: process.env['PATH'],
        HOME: workDir,
        TMPDIR: workDir,
        HF_HUB_OFFLINE: '1',
        PYTHONPATH: site,
        PYTHONUTF8: '1',
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const end = (): void => void child.kill('SIGKILL');
  const limit = setTimeout(end, timeoutMs);
  process.once('exit', end);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  clearTimeout(limit);
  process.off('exit', end);
  return { code, stdout, stderr, text: existsSync(outputFile) ? readFileSync(outputFile, 'utf8') : null };
}

/** Reads one line as Python's `json.loads` does: bare `Infinity`, `-Infinity` and `NaN` become texts. */
export function parseSglangLine(line: string): SglangLine {
  const strict = line.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (found) =>
    found.startsWith('"') ? found : JSON.stringify(found),
  );
  return JSON.parse(strict) as SglangLine;
}

/** A folder that `AutoTokenizer` loads without a network: the embedded tokenizer. */
export function makeTokenizerDir(folder: string): string {
  mkdirSync(folder, { recursive: true });
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(path.join(embedded, file), path.join(folder, file));
  }
  return folder;
}

/** What is met in real conversations: text of several scripts, so that a cut falls inside of characters, too. */
const ODDITIES = [
  'déjà vu',
  '你好，世界',
  'Привет',
  '🙂👩‍🚀',
  '\n\n```python\nprint("hi")\n```\n',
  "it's 3.14 , isn't it ? do n't .",
  '\t"quoted"\\',
  'https://example.org/a?b=c&d',
  '<b>bold</b>',
];

/**
 * Writes `conversations` seeded conversations in the form of ShareGPT. Some have one turn alone, an empty first turn or
 * the other key, all of which sglang treats in its own way.
 */
export function writeShareGpt(file: string, conversations = 300): string {
  const random = new Random('sharegpt', conversations);
  const words = readFileSync(path.join(embedded, 'words.txt'), 'utf8').trimEnd().split('\n');
  const sentence = (longest: number): string =>
    Array.from({ length: random.integer(1, longest) }, () =>
      random.float() < 0.06
        ? ODDITIES[random.integer(0, ODDITIES.length - 1)]!
        : words[random.integer(0, words.length - 1)]!.trim(),
    ).join(' ');
  const list = Array.from({ length: conversations }, (_, i) => {
    const first = i % 29 === 28 ? '' : sentence(i % 3 === 0 ? 12 : 400);
    const turns = [
      { from: 'human', value: first },
      { from: 'gpt', value: sentence(60) },
      { from: 'human', value: sentence(20) },
    ].slice(0, i % 17 === 16 ? 1 : 3);
    return { id: `c${i}`, [i % 13 === 12 ? 'conversation' : 'conversations']: turns };
  });
  writeFileSync(file, JSON.stringify(list));
  return file;
}
