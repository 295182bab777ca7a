import type { RunSpec } from './spec.ts';

/** Stands for a secret in files and on screens. */
export const MASK = '***';

/** Whatever stands under such a name is a secret. */
const CERTAIN =
  /apikey|accesskey|privatekey|password|passwd|passphrase|secret|credential|authoriz|bearer|cookie/;
/** Under such a name numbers are none: there are counts of tokens, and `num_key_value_heads`. */
const LIKELY =
  /key(?!file|word|_value)|(?<!(?:eos|bos|pad|unk|sep|cls|mask|stop|special)_)token(?!iz)|(?:^|_)(?:auth|jwt|pwd|pass)(?:_|$)/;

/** How sure it is that the value under this name is a secret; null when it is none. */
function secrecyOf(name: string): 'certain' | 'likely' | null {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .toLowerCase();
  if (CERTAIN.test(words.replaceAll('_', ''))) return 'certain';
  return LIKELY.test(words) ? 'likely' : null;
}

function isSecret(name: string, value: unknown): boolean {
  const secrecy = secrecyOf(name);
  return secrecy !== null && leaves(value).some((leaf) => isHidden(leaf, secrecy));
}

function isHidden(leaf: unknown, secrecy: 'certain' | 'likely'): boolean {
  if (typeof leaf === 'string')
    return leaf !== '' && (secrecy === 'certain' || !/^\d+(?:\.\d+)?$/.test(leaf));
  return typeof leaf === 'number' && secrecy === 'certain';
}

function leaves(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [value];
}

/**
 * A JSON value without the secrets in it: what stands under the name of one (`api_key`, `authorization`, `hf_token`)
 * is masked whole, lists and objects too, and so is what follows such a name inside of texts and lists of words.
 */
export function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return maskText(value);
  if (Array.isArray(value)) {
    return value.map((one: unknown, i) => {
      const before: unknown = value[i - 1];
      const isValue = typeof before === 'string' && /^--?[A-Za-z]/.test(before) && !before.includes('=');
      return isValue && isSecret(before, one) ? MASK : withoutSecrets(one);
    });
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, isSecret(name, one) ? MASK : withoutSecrets(one)]),
  );
}

/** `--api-key X`, `API_KEY=X`, `"api_key": "X"`, `Authorization: Bearer X` and the password of a URL, masked inside of a text. */
function maskText(text: string): string {
  if (/^\s*[[{]/.test(text)) {
    try {
      const value: unknown = JSON.parse(text);
      const clean = JSON.stringify(withoutSecrets(value));
      return clean === JSON.stringify(value) ? text : clean;
    } catch {
      // A text like any other.
    }
  }
  const mask = (whole: string, name: string, between: string, value: string): string =>
    isSecret(name, value) ? `${name}${between}${MASK}` : whole;
  return text
    .replace(/\b(Bearer\s+)[^\s"',]+/gi, `$1${MASK}`)
    .replace(/(\/\/[^/\s:@]*:)[^/\s@]+@/g, `$1${MASK}@`)
    .replace(/(--?[A-Za-z][\w-]*)(\s+["']?)([^\s"'-][^\s"']*)/g, mask)
    .replace(/\b([A-Za-z_][\w-]*)(["']?\s*[:=]\s*["']?(?:Basic\s+)?)([^\s"',;&{}[\]]+)/g, mask);
}

/** The texts that stand under the name of a secret: what a server may tell back in an error. */
export function secretTexts(value: unknown): string[] {
  const found = (one: unknown): unknown[] => {
    if (typeof one !== 'object' || one === null) return [];
    return Object.entries(one).flatMap(([name, inner]) =>
      !Array.isArray(one) && isSecret(name, inner) ? leaves(inner) : found(inner),
    );
  };
  return found(value).filter((leaf): leaf is string => typeof leaf === 'string');
}

/** What else than `secrecyOf` knows is a secret in the query of a URL: signatures of signed URLs, keys of functions. */
const SECRET_IN_QUERY = /^(?:sig|signature|x-amz-signature|x-goog-signature|code)$/i;

interface QueryPart {
  /** With its `=`, where it has one. */
  readonly name: string;
  readonly value: string;
  readonly secret: boolean;
}

function queryParts(query: string): QueryPart[] {
  return query.split('&').map((part) => {
    const [name = '', rest] = part.split(/(?<==)(.*)/s, 2);
    const bare = decoded(name.replace(/=$/, ''));
    const value = rest ?? '';
    return { name, value, secret: value !== '' && (SECRET_IN_QUERY.test(bare) || secrecyOf(bare) !== null) };
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

/** The query of a URL, without `?`, with the values of secrets masked: `api-version=1&key=***`. */
export function publicQuery(query: string): string {
  return queryParts(query)
    .map(({ name, value, secret }) => `${name}${secret ? MASK : value}`)
    .join('&');
}

/** A text with the queries of the URLs in it as they may be shown. */
export function publicUrls(text: string): string {
  return text.replace(/\?([^\s"'<>?#]+)/g, (_whole, query: string) => `?${publicQuery(query)}`);
}

/** The values that `publicQuery` masks, as they are sent and decoded. */
export function querySecrets(query: string): string[] {
  return queryParts(query).flatMap(({ value, secret }) => (secret ? [value, decoded(value)] : []));
}

/** The spec as it may be written: what is sent as a secret in the request body is masked. */
export function publicSpec(spec: RunSpec): RunSpec {
  return { ...spec, extraBody: withoutSecrets(spec.extraBody) as RunSpec['extraBody'] };
}
