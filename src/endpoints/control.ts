import type { Dispatcher } from 'undici';
import { errorText } from '../core/errors.ts';
import { onRoute, type Route, routeTo } from './proxy.ts';
import { sidePath } from './target.ts';
import { targetOrigin, undiciDispatcher } from './undici-wire.ts';
import type { Target, TlsMaterial } from './wire.ts';

export interface ControlOptions {
  readonly target: Target;
  readonly tls: TlsMaterial | null;
  readonly headers: readonly (readonly [string, string])[];
  readonly timeoutMs: number;
  /** Goes by the proxies of the environment, as the measured streams do. */
  readonly usesProxies: boolean;
  /** Ends calls under way. */
  readonly signal?: AbortSignal | undefined;
}

export interface ControlAnswer {
  /** null when no answer came; `error` then says why. */
  readonly status: number | null;
  readonly body: string;
  readonly error: string | null;
  /** Of the error, where it has one: `ECONNREFUSED`. */
  readonly code?: string;
  /** Left out where no answer came. */
  readonly contentType?: string;
  readonly location?: string | null;
}

/** No answer to a side call is longer. */
const MOST_BYTES = 64 * 1024 * 1024;

/** The unmeasured side calls: models, health, metrics. Through undici, by the way that the measured streams take. */
export class Control {
  readonly #options: ControlOptions;
  readonly route: Route;
  readonly #dispatcher: Dispatcher;

  /** Exit 2 where the environment names a proxy for the target that cannot be used. */
  constructor(options: ControlOptions) {
    const { target, tls, timeoutMs, usesProxies } = options;
    this.#options = options;
    this.route = routeTo(target, usesProxies);
    this.#dispatcher = undiciDispatcher({ target, tls, connectTimeoutMs: timeoutMs }, this.route);
  }

  get target(): Target {
    return this.#options.target;
  }

  /** GETs a path below the target's base; an answer of more than `mostBytes` is none, as is a path that its route does not show. Never rejects. */
  get(path: string, mostBytes = MOST_BYTES): Promise<ControlAnswer> {
    return this.#ask('GET', path, this.#options.timeoutMs, mostBytes);
  }

  /** POSTs nothing to a path below the target's base and waits up to `timeoutMs`. Never rejects. */
  post(path: string, timeoutMs: number): Promise<ControlAnswer> {
    return this.#ask('POST', path, timeoutMs, MOST_BYTES);
  }

  async #ask(
    method: 'GET' | 'POST',
    path: string,
    timeoutMs: number,
    mostBytes: number,
  ): Promise<ControlAnswer> {
    const { target, headers, signal } = this.#options;
    const wholePath = sidePath(target, path);
    if (wholePath === null)
      return { status: null, body: '', error: `${target.url} does not show where ${path} is` };
    try {
      const answer = await this.#dispatcher.request({
        origin: targetOrigin(target),
        path: wholePath,
        method,
        headers: Object.fromEntries(headers),
        signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]),
      });
      const body = await boundedText(answer.body, mostBytes);
      if (body === null)
        return { status: null, body: '', error: `the answer has more than ${mostBytes} bytes` };
      const header = (name: string): string | null => [answer.headers[name] ?? []].flat()[0] ?? null;
      return {
        status: answer.statusCode,
        body,
        error: null,
        contentType: header('content-type') ?? '',
        location: header('location'),
      };
    } catch (error) {
      const code = codeOf(error);
      const words = onRoute(this.route, errorText(error) || 'no answer');
      return { status: null, body: '', error: words, ...(code ? { code } : {}) };
    }
  }

  close(): Promise<void> {
    return this.#dispatcher.destroy();
  }
}

/** The code of an error, or of what caused it. */
function codeOf(error: unknown): string | null {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  const found = [cause?.code, code].find((one) => typeof one === 'string');
  return typeof found === 'string' ? found : null;
}

/** The text of a body, null when it is longer; the rest of it is not read then. */
async function boundedText(body: AsyncIterable<Buffer>, mostBytes: number): Promise<string | null> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > mostBytes) return null;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** The different `id`s, and the `owned_by`s, of `/v1/models`; null when the body is no such list. */
export function parseModels(body: string): { ids: string[]; ownedBy: string[] } | null {
  try {
    const parsed = JSON.parse(body) as { data?: unknown };
    if (!Array.isArray(parsed.data)) return null;
    const models = parsed.data as { id?: unknown; owned_by?: unknown }[];
    return {
      ids: [...new Set(models.flatMap((model) => (typeof model.id === 'string' ? [model.id] : [])))],
      ownedBy: models.flatMap((model) => (typeof model.owned_by === 'string' ? [model.owned_by] : [])),
    };
  } catch {
    return null;
  }
}
