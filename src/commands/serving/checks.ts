import { BenchError, errorText, usageError } from '../../core/errors.ts';
import { parseTarget } from '../../endpoints/target.ts';
import type { ServingFlag } from './flag.ts';
import { FLAGS } from './flags.ts';

/** Flags whose value names something; an empty one is most often an unset variable of a script. */
const NAMING_FLAGS = ['host', 'model', 'tokenizer', 'out', 'export'];

/** Refuses (exit 2) what was given by name but is not to be had here: all flags of one reason at once. */
export function refuseFlags(words: ReadonlyMap<string, unknown>): void {
  const refused = FLAGS.filter(({ name, standing }) => standing === 'refused' && words.has(name));
  const [first] = refused;
  if (first === undefined) return;
  const names = refused.filter(({ about }) => about === first.about).map(({ name }) => `--${name}`);
  const verb = names.length === 1 ? 'is' : 'are';
  throw usageError(`${names.join(', ')} ${verb} refused: ${first.about}`, first.instead ?? 'leave it out');
}

/** Refuses (exit 2) a choice of sglang's that bench has not, sglang's default included, and an empty name. */
export function refuseValue(flag: ServingFlag, words: ReadonlyMap<string, unknown>): void {
  if (NAMING_FLAGS.includes(flag.name) && [words.get(flag.name)].flat().includes(''))
    throw usageError(`--${flag.name}: its value is empty`, 'give one, or leave the flag out');
  if (flag.accepts === undefined) return;
  const { values, otherwise } = flag.accepts;
  const value = String(words.get(flag.name) ?? flag.default);
  if (values.includes(value)) return;
  const reason = otherwise.replace('{}', value);
  throw usageError(
    words.has(flag.name)
      ? `--${flag.name}: ${value} is refused: ${reason}`
      : `--${flag.name}: not given, and sglang's default ${value} is refused: ${reason}`,
    `write --${flag.name} ${values[0]} (or ${values.slice(1).join(', ')})`,
  );
}

/** Checks that `--base-url`, or `--host` and `--port`, name a server that can be reached over HTTP (exit 2). */
export function checkServer(baseUrl: string | null, host: string, port: number): void {
  if (!baseUrl && /[/@?#\s]/.test(host))
    throw usageError(`--host: "${host}" is no host name`, 'give a URL with --base-url');
  const url = baseUrl || `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  try {
    parseTarget(url);
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    throw usageError(
      error.message.replace(/^--url/, baseUrl ? '--base-url' : '--host'),
      error.hint?.replace('--api-key', 'OPENAI_API_KEY'),
    );
  }
}

/** Checks that headers have the form K=V (exit 2); they are not shown, for they hold secrets. */
export function checkHeaders(headers: readonly string[]): void {
  const wrong = headers.findIndex((header) => !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+=./s.test(header));
  if (wrong >= 0)
    throw usageError(
      `--header: number ${wrong + 1} of ${headers.length} has no K=V form`,
      'write --header X-Team=serving "Authorization=Bearer KEY"',
    );
}

/** Checks that `--extra-request-body` is a JSON object (exit 2); an empty word is none, as in sglang. */
export function checkBody(text: string | null): void {
  if (!text) return;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const at = /at position \d+/.exec(errorText(error))?.[0];
    throw usageError(`--extra-request-body: not JSON${at === undefined ? '' : ` (${at})`}`, BODY_HINT);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw usageError('--extra-request-body: not a JSON object', BODY_HINT);
}

const BODY_HINT = `write --extra-request-body '{"top_k": 1}'`;

/** `rate` when requests can be sent at it: inf, or above 0 (exit 2). */
export function checkRate(rate: number): number {
  if (!(rate > 0))
    throw usageError(`--request-rate: ${rate} is not above 0`, 'give requests per second, or inf');
  return rate;
}

/** `value` when a server can sample at it (exit 2). */
export function checkTemperature(value: number): number {
  if (value >= 0 && Number.isFinite(value)) return value;
  throw usageError(`--temperature: ${value} is no number from 0 on`, 'give such a number');
}

/** `value` when it is a share of probability above 0 (exit 2). */
export function checkTopP(value: number): number {
  if (value > 0 && value <= 1) return value;
  throw usageError(`--top-p: ${value} is not above 0 and at most 1`, 'give a number in that range');
}
