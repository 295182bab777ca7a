import fs, { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { InferredOptionTypes, Options } from 'yargs';
import { CONFORMANCE_SCHEMA, type ConformanceResult, type ScoredCase } from '../../core/conformance.ts';
import { EXIT, type ExitCode, errorText, usageError } from '../../core/errors.ts';
import { makeFolders } from '../../core/folders.ts';
import type { Kind } from '../../core/kind.ts';
import { readEmbedded } from '../../datasets/embedded.ts';
import { renderConformance } from '../../exporters/conformance-table.ts';
import { pageStyle } from '../page.ts';
import { print, printError, printPage } from '../terminal.ts';
import { CASES, type Case } from './cases.ts';
import type { Client, Installed } from './client.ts';
import { CLIENTS } from './clients.ts';
import { type Cores, divideCores } from './cores.ts';
import { type Played, play } from './play.ts';
import { scoreFile } from './score-file.ts';

const MOST_ATTEMPTS = 3;

const about = (kinds: readonly Kind[]): string =>
  kinds.map((kind) => `${kind.name}: ${kind.about}`).join('; ');

export const CONFORMANCE_OPTIONS = {
  client: { type: 'string', default: 'bench', describe: `clients, or all (${about(CLIENTS)})` },
  cases: { type: 'string', describe: `cases [default: all] (${about(CASES)})` },
  quick: { type: 'boolean', default: false, describe: 'a few short cases' },
  truth: {
    type: 'string',
    describe: 'score a recorded result instead: the log of bench mock --truth that the client ran against',
  },
  result: {
    type: 'string',
    describe: "with --truth: the client's result file, or the folder of a run of bench",
  },
  out: { type: 'string', describe: 'folder that keeps all files [default: none is kept]' },
  json: { type: 'boolean', default: false, describe: 'print all numbers as JSON instead of the table' },
} as const satisfies Record<string, Options>;

export type ConformanceArgs = InferredOptionTypes<typeof CONFORMANCE_OPTIONS>;

/** `bench conformance`: runs clients against a server with a known schedule and scores their numbers. */
export async function runConformance(args: ConformanceArgs): Promise<ExitCode> {
  if ((args.truth === undefined) !== (args.result === undefined))
    throw usageError('--truth and --result go together', 'give both, or neither to run the clients here');
  const result = args.truth === undefined ? await runClients(args) : scoreFile(args.truth, args.result!);
  if (typeof result === 'number') return result;
  if (args.json) print(`${JSON.stringify(result, null, 2)}\n`);
  else printPage(renderConformance(result, pageStyle()));
  return exitOf(result);
}

/** 1 when a client erred or gave no result; 5 when of one there is no case that says anything. */
function exitOf({ clients, cases }: ConformanceResult): ExitCode {
  if (cases.some(({ score: { verdict } }) => verdict === 'fail' || verdict === 'none')) return EXIT.verdict;
  const judged = clients.every(({ name }) =>
    cases.some(({ client, score }) => client === name && score.verdict !== 'void'),
  );
  return judged ? EXIT.ok : EXIT.invalid;
}

async function runClients(args: ConformanceArgs): Promise<ConformanceResult | ExitCode> {
  const cases = chosenCases(args);
  const asked = args.client.trim() === 'all' ? CLIENTS : pick(args.client, CLIENTS, 'client');
  const found = asked.map((client) => ({ client, installed: client.find() }));
  const missing = found.flatMap(({ client, installed }) =>
    typeof installed === 'string' ? [{ name: client.name, missing: installed }] : [],
  );
  const there = found.filter((one): one is Found => typeof one.installed !== 'string');
  for (const { name, missing: what } of missing) say(`${name} is not scored: ${what}`);
  if (there.length === 0)
    throw usageError(
      `--client: none of ${asked.map(({ name }) => name).join(', ')} is installed`,
      missing[0]!.missing,
    );
  const work = openFolder(args.out);
  const stop = new AbortController();
  const onInt = (): void => stop.abort(EXIT.interrupted);
  const onTerm = (): void => stop.abort(EXIT.terminated);
  process.on('SIGINT', onInt).on('SIGTERM', onTerm);
  try {
    const cores = divideCores();
    say(cores.about);
    const result: ConformanceResult = {
      schema: CONFORMANCE_SCHEMA,
      host: { node: process.version, cpu: os.cpus()[0]?.model.trim() ?? 'unknown', cores: cores.about },
      clients: there.map(({ client: { name, meanings } }) => ({ name, meanings })),
      missing,
      cases: await playAll(there, cases, work.dir, cores, stop.signal),
    };
    if (args.out !== undefined)
      writeFileSync(path.join(work.dir, 'conformance.json'), `${JSON.stringify(result, null, 2)}\n`);
    return result;
  } catch (error) {
    if (stop.signal.aborted) return stop.signal.reason as ExitCode;
    throw error;
  } finally {
    process.off('SIGINT', onInt).off('SIGTERM', onTerm);
    work.close();
  }
}

interface Found {
  readonly client: Client;
  readonly installed: Installed;
}

async function playAll(
  there: readonly Found[],
  cases: readonly Case[],
  dir: string,
  cores: Cores,
  signal: AbortSignal,
): Promise<ScoredCase[]> {
  const tokenizer = writeTokenizer(path.join(dir, 'tokenizer'));
  const scored: ScoredCase[] = [];
  const total = there.length * cases.length;
  for (const { client, installed } of there) {
    for (const of of cases) {
      const startedAtMs = performance.now();
      const { score, remark } = await tryOut((attempt) => {
        const place = path.join(dir, client.name, attempt === 1 ? of.name : `${of.name}-${attempt}`);
        return play(client, installed, of, { dir: place, tokenizer, cores, signal });
      });
      scored.push({ client: client.name, case: of.name, about: of.about, score, remark });
      const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1);
      say(`[${scored.length}/${total}] ${client.name} ${of.name}: ${score.verdict} (${seconds} s)`);
    }
  }
  return scored;
}

/** Once, and again where server or machine did not keep time: that passes, and another try may say something. */
async function tryOut(once: (attempt: number) => Promise<Played>): Promise<Played> {
  for (let attempt = 1; ; attempt++) {
    const played = await once(attempt);
    if (played.score.verdict !== 'void' || attempt === MOST_ATTEMPTS) return played;
  }
}

function chosenCases({ cases, quick }: ConformanceArgs): readonly Case[] {
  if (cases === undefined) return quick ? CASES.filter((one) => one.quick) : CASES;
  if (quick) throw usageError('--quick: --cases says already which cases', 'leave out one of them');
  return pick(cases, CASES, 'cases');
}

function pick<T extends Kind>(text: string, kinds: readonly T[], flag: string): T[] {
  return text.split(',').map((word) => {
    const kind = kinds.find(({ name }) => name === word.trim());
    if (kind !== undefined) return kind;
    throw usageError(
      `--${flag}: "${word.trim()}" is not known`,
      `give some of ${kinds.map(({ name }) => name).join(', ')}`,
    );
  });
}

/** A folder for the files: the one asked for, which must be new or empty of ours, or one that goes away. */
function openFolder(out: string | undefined): { readonly dir: string; readonly close: () => void } {
  if (out === undefined) {
    const dir = mkdtempSync(path.join(os.tmpdir(), 'bench-conformance-'));
    return { dir, close: () => rmSync(dir, { recursive: true, force: true }) };
  }
  const dir = path.resolve(out);
  try {
    makeFolders(path.dirname(dir), fs);
    mkdirSync(dir);
  } catch (error) {
    throw usageError(
      `--out: cannot make ${out} (${errorText(error)})`,
      'name a folder that is not there yet',
    );
  }
  return { dir, close: () => {} };
}

/** The mock server's tokenizer as a folder that other clients can load. */
function writeTokenizer(dir: string): string {
  mkdirSync(dir);
  for (const file of ['tokenizer.json', 'tokenizer_config.json'] as const)
    writeFileSync(path.join(dir, file), readEmbedded(`tokenizer/${file}`));
  return dir;
}

function say(line: string): void {
  printError(`bench: ${line}\n`);
}
