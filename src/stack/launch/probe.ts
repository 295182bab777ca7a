import { connect } from 'node:net';
import { Agent, interceptors } from 'undici';
import { errorText } from '../../core/errors.ts';
import type { Probe } from '../plan/planned.ts';
import { runCommand } from './slurm.ts';

/** Longest answer of one try of a probe; the canary has its own limit. */
const TRY_MS = 5_000;

export interface ProbeResult {
  readonly holds: boolean;
  /** What was seen, in a few words: evidence when it holds, what is missing when not. */
  readonly said: string;
  /** Set when nothing answered, or not in a way that shows anything. */
  readonly silent?: true;
}

export type CanaryProbe = Extract<Probe, { kind: 'canary' }>;

/** What probes need of their surroundings. */
export interface ProbeSight {
  /** Lines of a step's log that have matched the pattern so far, and one of them. */
  matches(step: string, pattern: string): { readonly count: number; readonly line: string | null };
  /** Streams chat requests; never rejects. */
  canary(probe: CanaryProbe, signal: AbortSignal): Promise<ProbeResult>;
  readonly signal: AbortSignal;
}

/** Tries a probe once. Never rejects. */
export async function tryProbe(probe: Probe, sight: ProbeSight): Promise<ProbeResult> {
  try {
    switch (probe.kind) {
      case 'log':
        return tryLog(probe, sight);
      case 'tcp':
        return await tryTcp(probe.host, probe.port);
      case 'http':
        return await tryHttp(probe, sight.signal);
      case 'instances':
        return await tryInstances(probe, sight.signal);
      case 'model':
        return await tryModel(probe, sight.signal);
      case 'canary':
        return await sight.canary(probe, sight.signal);
      case 'exec':
        return await tryExec(probe);
    }
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return { holds: false, said: `${probeName(probe)}: ${errorText(cause)}`, silent: true };
  }
}

/** A probe in a few words, for people. */
export function probeName(probe: Probe): string {
  switch (probe.kind) {
    case 'log':
      return `log line /${probe.pattern}/${probe.count > 1 ? ` ×${probe.count}` : ''}`;
    case 'tcp':
      return `tcp ${probe.host}:${probe.port}`;
    case 'http':
      return probe.json === null ? `GET ${probe.url}` : `GET ${probe.url} ${probe.json.path}`;
    case 'instances':
      return `${probe.least} × ${probe.components.join('|')}.${probe.endpoint} registered`;
    case 'model':
      return `model "${probe.model}" listed`;
    case 'canary':
      return `${probe.requests} streamed canary requests`;
    case 'exec':
      return probe.argv.join(' ');
  }
}

function tryLog(probe: Extract<Probe, { kind: 'log' }>, sight: ProbeSight): ProbeResult {
  const found = probe.steps.map((step) => sight.matches(step, probe.pattern));
  const count = found.reduce((sum, one) => sum + one.count, 0);
  const line = found.find((one) => one.line !== null)?.line ?? null;
  return count >= probe.count
    ? { holds: true, said: line ?? '' }
    : { holds: false, said: `log line /${probe.pattern}/ ${count} of ${probe.count}` };
}

function tryTcp(host: string, port: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (holds: boolean, said: string): void => {
      socket.destroy();
      resolve({ holds, said: `tcp ${host}:${port} ${said}`, ...(holds ? {} : { silent: true as const }) });
    };
    socket.setTimeout(TRY_MS, () => finish(false, 'does not answer'));
    socket.once('connect', () => finish(true, 'open'));
    socket.once('error', (error) => finish(false, errorText(error)));
  });
}

/** Nodes of a stack are reached directly, by none of the proxies that the environment names. */
const DIRECTLY = new Agent().compose(interceptors.redirect({ maxRedirections: 5 }));

/** GET, with status and body; rejects when nothing answers in time. */
async function get(url: string, signal: AbortSignal): Promise<{ status: number; body: string }> {
  const { origin, pathname, search } = new URL(url);
  const answer = await DIRECTLY.request({
    origin,
    path: pathname + search,
    method: 'GET',
    signal: AbortSignal.any([signal, AbortSignal.timeout(TRY_MS)]),
  });
  return { status: answer.statusCode, body: await answer.body.text() };
}

async function tryHttp(probe: Extract<Probe, { kind: 'http' }>, signal: AbortSignal): Promise<ProbeResult> {
  const { status, body } = await get(probe.url, signal);
  if (status !== probe.status) return { holds: false, said: `${probe.url} answers ${status}` };
  if (probe.json === null) return { holds: true, said: `${probe.url} answers ${status}` };
  const value = fieldOf(JSON.parse(body), probe.json.path);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return { holds: text === probe.json.equals, said: `${probe.url} ${probe.json.path} is ${text}` };
}

/** The value at a path such as `$.a.b[0]`; undefined when there is none. */
export function fieldOf(document: unknown, path: string): unknown {
  const keys = path.replace(/^\$\.?/, '').match(/[^.[\]]+/g) ?? [];
  return keys.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined,
    document,
  );
}

/** Instances that a Dynamo frontend counts. Rejects when it does not answer with JSON. */
export async function countInstances(
  probe: Extract<Probe, { kind: 'instances' }>,
  signal: AbortSignal,
): Promise<number> {
  // The status says nothing: frontends of some versions answer 503 here while all is well.
  const { body } = await get(probe.url, signal);
  return listAt(JSON.parse(body), '$.instances').filter(
    (one) =>
      fieldOf(one, '$.endpoint') === probe.endpoint &&
      probe.components.includes(String(fieldOf(one, '$.component'))),
  ).length;
}

/** What a model list holds. Rejects when nothing answers. */
export async function listedModels(
  url: string,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly ids: readonly string[] }> {
  const { status, body } = await get(url, signal);
  const ids =
    status === 200 ? listAt(JSON.parse(body), '$.data').map((one) => String(fieldOf(one, '$.id'))) : [];
  return { status, ids };
}

async function tryInstances(
  probe: Extract<Probe, { kind: 'instances' }>,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const count = await countInstances(probe, signal);
  return {
    holds: count >= probe.least,
    said: `${count} of ${probe.least} ${probe.components[0]} instances registered`,
  };
}

async function tryModel(probe: Extract<Probe, { kind: 'model' }>, signal: AbortSignal): Promise<ProbeResult> {
  const { status, ids } = await listedModels(probe.url, signal);
  if (status !== 200) return { holds: false, said: `${probe.url} answers ${status}` };
  return ids.includes(probe.model)
    ? { holds: true, said: `model "${probe.model}" is listed` }
    : { holds: false, said: `model "${probe.model}" is not listed (${ids.join(', ') || 'none is'})` };
}

function listAt(document: unknown, path: string): unknown[] {
  const list = fieldOf(document, path);
  return Array.isArray(list) ? (list as unknown[]) : [];
}

async function tryExec(probe: Extract<Probe, { kind: 'exec' }>): Promise<ProbeResult> {
  const { code, stderr } = await runCommand(probe.argv, { timeoutMs: TRY_MS });
  return code === probe.exit
    ? { holds: true, said: `${probe.argv[0]} ended with ${code}` }
    : {
        holds: false,
        said: `${probe.argv[0]} ended with ${code ?? 'no exit code'} ${stderr.trim().slice(0, 200)}`,
      };
}
