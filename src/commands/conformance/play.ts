import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type CaseScore, unscored } from '../../core/conformance.ts';
import { errorText } from '../../core/errors.ts';
import { readTruth } from '../../core/truth.ts';
import { startMockProcess } from '../mock-process.ts';
import type { Case } from './cases.ts';
import { runChild } from './child.ts';
import type { Client, Installed, Reading, Task } from './client.ts';
import type { Cores } from './cores.ts';
import { OtherWork } from './other-work.ts';
import { scoreReading } from './score-reading.ts';
import { warmServer } from './warm-server.ts';

/** Some clients take most of a minute to start. */
const LONGEST_MS = 300_000;

export interface Stage {
  /** For the files of this client's case; made here. */
  readonly dir: string;
  readonly tokenizer: string;
  readonly cores: Cores;
  readonly signal: AbortSignal;
}

export interface Played {
  readonly score: CaseScore;
  /** What the client says of itself; null for nothing. */
  readonly remark: string | null;
}

/** Runs a client on a case, against a server of its own, and scores what it tells. */
export async function play(client: Client, installed: Installed, of: Case, stage: Stage): Promise<Played> {
  const { dir, tokenizer, cores, signal } = stage;
  mkdirSync(dir, { recursive: true });
  const log = path.join(dir, 'truth.ndjson');
  const server = await startMockProcess(['--truth', log, ...of.mock], cores.server);
  const task: Task = { url: server.url, of, dir, tokenizer };
  let failure: string | null;
  let ownRequests = 0;
  let otherWorkRatio: number | null = null;
  try {
    ownRequests = await warmServer(server.url, signal);
    let clientPid: number | undefined;
    const others = new OtherWork(() => [server.pid, clientPid]);
    failure = await runChild({
      words: [...(of.oneCore ? cores.oneForClient : cores.client), ...installed.words, ...client.args(task)],
      env: { ...installed.env, ...pastProxies(process.env) },
      cwd: dir,
      log: path.join(dir, 'client.log'),
      timeoutMs: LONGEST_MS,
      signal,
      started: (pid) => {
        clientPid = pid;
      },
    }).finally(() => {
      otherWorkRatio = others.stop();
    });
  } finally {
    await server.stop();
  }
  const reading = readOf(client, task);
  if (typeof reading === 'string')
    return { score: unscored(`no result (${failure ?? reading})`), remark: null };
  const { head, lines } = readTruth(readFileSync(log, 'utf8'), log);
  const truth = { head, lines: lines.slice(ownRequests) };
  return { score: scoreReading(client, reading, truth, of.requests, otherWorkRatio), remark: reading.remark };
}

/** No client is to reach the server, which is on this host, through a proxy of the environment. */
function pastProxies(env: NodeJS.ProcessEnv): Record<string, string> {
  const given = env['no_proxy'] ?? env['NO_PROXY'] ?? '';
  const noProxy = [given, '127.0.0.1'].filter((part) => part !== '').join(',');
  return { no_proxy: noProxy, NO_PROXY: noProxy };
}

/** What the client told, or why it cannot be read. */
function readOf(client: Client, task: Task): Reading | string {
  try {
    return client.read(task);
  } catch (error) {
    return errorText(error);
  }
}
