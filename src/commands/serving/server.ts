import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError, EXIT } from '../../core/errors.ts';
import { withoutSecrets } from '../../core/secrets.ts';
import { Control, type ControlAnswer, parseModels } from '../../endpoints/control.ts';
import type { TargetAccess } from '../arguments.ts';
import { type Called, noAnswer, TARGET_HINTS } from '../target-hints.ts';
import type { ServingArgs } from './arguments.ts';

const POLL_EVERY_MS = 1_000;
const CALL_TIMEOUT_MS = 5_000;
/** A wait shorter than this is not worth a word. */
const QUIET_MS = 2_000;

/** What the server says of itself after a run. */
export interface ServerInfo {
  /** The JSON of its info route, null when it has none. */
  readonly info: unknown;
  /** Mean accepted tokens per speculative step, null when it does not say. */
  readonly acceptLength: number | null;
}

/** The side calls of a run in sglang's manner: ready check, cache flush, server info. */
export class ServingServer {
  readonly #args: ServingArgs;
  readonly #control: Control;
  readonly #called: Called;

  constructor(args: ServingArgs, access: TargetAccess) {
    this.#args = args;
    this.#called = { hints: access.hints ?? TARGET_HINTS, keyFrom: access.keyFrom ?? null };
    this.#control = new Control({
      target: access.targets[0]!,
      tls: access.tls,
      headers: access.headers.filter(([name]) => !['content-type', 'accept'].includes(name.toLowerCase())),
      timeoutMs: CALL_TIMEOUT_MS,
      // Its streams go directly.
      usesProxies: false,
    });
  }

  /**
   * Waits until the server lists the wanted model, at most `--ready-check-timeout-sec`; gives the model to
   * ask for, null when nothing was named or listed. An answer that is no list ends the wait: what streams
   * decides. Exit 3 when nothing that could serve answers in time.
   */
  async ready(say: (line: string) => void): Promise<string | null> {
    const wanted = this.#args.servedModelName ?? this.#args.model;
    const startMs = performance.now();
    const limitMs = this.#args.readyCheckTimeoutS * 1_000;
    let reported: string | null = null;
    for (;;) {
      const { state, listed, answer } = await this.#look(wanted);
      if (state === null) return wanted ?? listed[0] ?? null;
      if (answer.status === null && reported === null) {
        const { message, hint, lasting } = await noAnswer(this.#control, answer, this.#called);
        if (lasting) throw new BenchError(EXIT.target, message, hint);
      }
      reported ??= '';
      const waitedMs = performance.now() - startMs;
      if (waitedMs >= limitMs) {
        // A name that is not listed may still be served; the first stream tells.
        if (listed.length > 0) return wanted;
        if (limitMs === 0) return wanted;
        throw new BenchError(
          EXIT.target,
          `${this.#control.target.url} was not ready within ${this.#args.readyCheckTimeoutS} s: ${state}`,
          'see --base-url, --host and --port, or wait longer with --ready-check-timeout-sec',
        );
      }
      if (waitedMs > QUIET_MS && reported !== state)
        say(`waiting for ${this.#control.target.url}, at most ${this.#args.readyCheckTimeoutS} s: ${state}`);
      if (waitedMs > QUIET_MS) reported = state;
      await sleep(Math.min(POLL_EVERY_MS, limitMs - waitedMs));
    }
  }

  /** Empties the server's prefix cache; gives what went wrong, null when nothing did. */
  async flushCache(): Promise<string | null> {
    const seconds = this.#args.flushCacheTimeoutS;
    const path = this.#args.backend.startsWith('vllm')
      ? '/reset_prefix_cache'
      : `/flush_cache?timeout=${seconds}`;
    const { status, error } = await this.#control.post(path, seconds * 1_000 + CALL_TIMEOUT_MS);
    if (status === 200) return null;
    return `--flush-cache: the cache was not flushed: POST ${path.replace(/\?.*/, '')} gave ${status ?? error}`;
  }

  /** Never rejects: a server without the route, or with an answer that is no JSON, has no info. */
  async info(): Promise<ServerInfo> {
    const path = this.#args.layout === '2026-06' ? '/server_info' : '/get_server_info';
    const { status, body } = await this.#control.get(path);
    if (status !== 200) return { info: null, acceptLength: null };
    try {
      // A server tells its own start-up arguments, keys included.
      const info = withoutSecrets(JSON.parse(body));
      return { info, acceptLength: acceptLengthOf(info) };
    } catch {
      return { info: null, acceptLength: null };
    }
  }

  close(): Promise<void> {
    return this.#control.close();
  }

  async #look(
    wanted: string | null,
  ): Promise<{ state: string | null; listed: readonly string[]; answer: ControlAnswer }> {
    const answer = await this.#control.get('/v1/models');
    const { status, body, error } = answer;
    if (status === null) return { state: error ?? 'no answer', listed: [], answer };
    if (status >= 500) return { state: `GET /v1/models gives ${status}`, listed: [], answer };
    const listed = status === 200 ? (parseModels(body)?.ids ?? null) : null;
    if (listed === null) return { state: null, listed: [], answer };
    if (listed.length === 0) return { state: 'it lists no model yet', listed, answer };
    if (wanted !== null && !listed.includes(wanted))
      return { state: `it lists ${listed.join(', ')}, not ${wanted} (see --model)`, listed, answer };
    return { state: null, listed, answer };
  }
}

/** `avg_spec_accept_length` of the first internal state; of the first decode worker where they are apart. */
function acceptLengthOf(info: unknown): number | null {
  const decode = entry(entry(info, 'decode'), 0) ?? info;
  const length = entry(entry(entry(decode, 'internal_states'), 0), 'avg_spec_accept_length');
  return typeof length === 'number' ? length : null;
}

function entry(value: unknown, key: string | number): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string | number, unknown>)[key]
    : undefined;
}
