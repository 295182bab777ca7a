import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { BenchError, EXIT, type ExitCode, errorText, knownError } from '../core/errors.ts';
import {
  type ChunkedText,
  decodeChunkedTexts,
  decodeCounts,
  encodeChunkedTexts,
  encodeCounts,
} from '../datasets/chunk-file.ts';
import {
  LEAST_SHOWN_RATIO,
  openTokenizer,
  type PrepareJob,
  preparePrompts,
  splitTokens,
} from '../datasets/index.ts';
import type { PreparedPrompts, Probe } from '../datasets/prepare.ts';
import { SpoolWriter } from '../host/spool.ts';
import { OWN_VERBS } from './own-verbs.ts';

/** The tokenizer that counts here. */
export interface LocalTokenizer {
  /** As `--tokenizer` names it. */
  readonly name: string;
  /** It is not the model's. */
  readonly estimates: boolean;
}

/** What the parent writes to the child's standard input. */
type ChildJob =
  | { readonly kind: 'prepare'; readonly spool: string; readonly job: PrepareJob }
  | {
      readonly kind: 'chunk-tokens';
      readonly tokenizer: LocalTokenizer;
      readonly input: string;
      readonly output: string;
    };

/** A line on the child's standard output. The last line is no progress. */
type ChildLine =
  | { readonly progress: readonly [done: number, total: number] }
  | { readonly result: unknown }
  | {
      readonly error: { readonly exitCode: ExitCode; readonly message: string; readonly hint: string | null };
    };

/** The facts of prompts that lie in a spool. */
export type SpooledPrompts = Omit<PreparedPrompts, 'salting'>;

/** The child: reads one job as JSON from standard input, answers lines of JSON on standard output. */
export async function runPromptChild(): Promise<void> {
  const say = (line: ChildLine): void => {
    process.stdout.write(`${JSON.stringify(line)}\n`);
  };
  try {
    const job = JSON.parse(await readAll(process.stdin)) as ChildJob;
    const result =
      job.kind === 'prepare'
        ? await prepareIntoSpool(job.job, job.spool, (done, total) => say({ progress: [done, total] }))
        : await countChunks(job.tokenizer, job.input, job.output);
    say({ result });
  } catch (error) {
    const known = knownError(error);
    say({
      error: {
        exitCode: known?.exitCode ?? EXIT.bug,
        message: errorText(error),
        hint: known?.hint ?? null,
      },
    });
  }
}

async function prepareIntoSpool(
  job: PrepareJob,
  spool: string,
  onProgress: (done: number, total: number) => void,
): Promise<SpooledPrompts | { readonly needsProbe: readonly [Probe, Probe] }> {
  const writer = new SpoolWriter(spool);
  try {
    const prepared = await preparePrompts(job, writer, onProgress);
    if ('needsProbe' in prepared) {
      writer.discard();
      return prepared;
    }
    const { salting, ...rest } = prepared;
    writer.close(salting);
    return rest;
  } catch (error) {
    writer.discard();
    throw error;
  }
}

async function countChunks(
  { name, estimates }: LocalTokenizer,
  input: string,
  output: string,
): Promise<{ readonly counted: number }> {
  const loaded = await openTokenizer(name);
  const leastRatio = LEAST_SHOWN_RATIO[estimates ? 'estimated' : 'exact'];
  const counts: Uint32Array[] = [];
  for (const { text, ends, completionTokens } of decodeChunkedTexts(readFileSync(input))) {
    counts.push(splitTokens(loaded, text, ends, completionTokens, leastRatio));
  }
  writeFileSync(output, encodeCounts(counts));
  return { counted: counts.length };
}

/** How the parent starts its child. */
export interface ChildOptions {
  /** Script to start, by default the one that runs now. */
  readonly entry?: string | undefined;
  /** Ends the child; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Makes the prompts of a job in a child process, into the file `spool`. The parent's memory and event
 * loop stay free of tokenizers. Rejects with the child's BenchError.
 */
export async function prepareInChild(
  job: PrepareJob,
  spool: string,
  options: ChildOptions = {},
): Promise<SpooledPrompts | { readonly needsProbe: readonly [Probe, Probe] }> {
  return (await runChild({ kind: 'prepare', spool, job }, options)) as Awaited<
    ReturnType<typeof prepareInChild>
  >;
}

/**
 * Tokens per chunk of many responses, counted in a child process. They add up to less than the server's count where the text
 * cannot hold as many. `folder` takes two files for the time of the call. Rejects with the child's BenchError.
 */
export async function chunkTokensInChild(
  responses: readonly ChunkedText[],
  tokenizer: LocalTokenizer,
  folder: string,
  options: ChildOptions = {},
): Promise<Uint32Array[]> {
  const own = mkdtempSync(join(folder, 'chunks-'));
  try {
    const [input, output] = [join(own, 'texts'), join(own, 'counts')];
    writeFileSync(input, encodeChunkedTexts(responses));
    await runChild({ kind: 'chunk-tokens', tokenizer, input, output }, options);
    return decodeCounts(readFileSync(output));
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

/** Longest end of the child's standard error that is kept for a message. */
const KEPT_STDERR = 2_000;

async function runChild(job: ChildJob, { entry, signal, onProgress }: ChildOptions): Promise<unknown> {
  signal?.throwIfAborted();
  const child = spawn(process.execPath, [entry ?? process.argv[1]!, OWN_VERBS.promptChild], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Ctrl-C in a terminal reaches the whole group; the parent decides what becomes of its child.
    detached: true,
  });
  const stop = (): void => {
    child.kill('SIGKILL');
  };
  signal?.addEventListener('abort', stop, { once: true });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-KEPT_STDERR);
  });
  let answer: Exclude<ChildLine, { readonly progress: unknown }> | null = null;
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const parsed = parseLine(line);
      if (parsed === null) continue;
      if ('progress' in parsed) onProgress?.(...parsed.progress);
      else answer = parsed;
    }
  });
  // A child that dies before it read its job breaks the pipe; its end below tells why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(JSON.stringify(job));

  const ended = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(errorText(error)));
    child.once('close', (code, name) => resolve(name ?? `exit code ${code}`));
  });
  signal?.removeEventListener('abort', stop);
  signal?.throwIfAborted();
  return readAnswer(answer, ended, stderr);
}

function parseLine(line: string): ChildLine | null {
  try {
    return JSON.parse(line) as ChildLine;
  } catch {
    return null;
  }
}

function readAnswer(
  answer: Exclude<ChildLine, { readonly progress: unknown }> | null,
  ended: string,
  stderr: string,
): unknown {
  if (answer === null) {
    throw new BenchError(
      EXIT.bug,
      `the process that makes the prompts ended without an answer (${ended}): ${errorText(stderr) || 'no output'}`,
      ended === 'SIGKILL' ? 'it may have run out of memory' : null,
    );
  }
  if ('error' in answer) {
    throw new BenchError(answer.error.exitCode, answer.error.message, answer.error.hint);
  }
  return answer.result;
}
