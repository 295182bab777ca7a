import { isFields } from './output-text.ts';

/** Without these there is no stream to measure. */
const NEEDED: ReadonlySet<string> = new Set(['model', 'messages', 'stream']);
/** With these statuses it is the request that is wrong; with others the words must say so. */
const BAD_REQUEST: ReadonlySet<number> = new Set([400, 422]);
const REFUSES =
  /unsupported|not\W+support|unknown|unrecogni[sz]ed|unexpected|not\W+(?:permitted|allowed|accepted|valid)|invalid|forbid|extra|does not (?:accept|exist)/i;
/** What echoes the request or says where to read more, and names fields that are not refused. */
const NO_REASON: ReadonlySet<string> = new Set(['input', 'ctx', 'url', 'body', 'request']);

/** Paths of what may be left out of a body: its fields, and those of its objects as `stream_options.include_usage`. */
export function optionalPaths(body: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(body).flatMap(([name, value]) =>
    NEEDED.has(name)
      ? []
      : [name, ...Object.keys(isFields(value) ? value : {}).map((part) => `${name}.${part}`)],
  );
}

/**
 * Which of the `paths` the answer to a request names as not taken. Where the answer is JSON that names fields as such (`param`,
 * `loc`), those alone count, else what its messages name. A field of an object is named instead of the object where both are.
 */
export function refusedPaths(status: number, body: string, paths: readonly string[]): string[] {
  if (status < 400 || (!BAD_REQUEST.has(status) && !REFUSES.test(body))) return [];
  const answer = readAnswer(body);
  const fields = paths.filter((path) => answer.fields.some((field) => field === path));
  const named = fields.length > 0 ? fields : paths.filter((path) => isNamed(path, answer.words));
  return named.filter((path) => !named.some((other) => other.startsWith(`${path}.`)));
}

function isNamed(path: string, words: string): boolean {
  const name = path.slice(path.indexOf('.') + 1).replaceAll(/[^\w-]/g, '\\$&');
  return new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(words);
}

interface Answer {
  readonly fields: readonly string[];
  readonly words: string;
}

function readAnswer(body: string): Answer {
  const fields: string[] = [];
  const words: string[] = [];
  const walk = (value: unknown): void => {
    if (typeof value === 'string') words.push(value);
    if (Array.isArray(value)) value.forEach(walk);
    for (const [name, inner] of Object.entries(isFields(value) ? value : {})) {
      if (NO_REASON.has(name)) continue;
      // Django and its kin: the field is the key of its complaint.
      words.push(name);
      if (name === 'param' && typeof inner === 'string') fields.push(inner.replace(/^(?:body|\$)\./, ''));
      else if (name === 'loc' && Array.isArray(inner)) fields.push(...pathsOf(inner));
      else walk(inner);
    }
  };
  try {
    walk(JSON.parse(body));
  } catch {
    words.push(body);
  }
  // A message of pydantic's in Python's notation ends with the whole request where that is what it is about.
  return { fields, words: words.join('\n').replace(/(['"])input\1:\s*\{.*/s, '') };
}

/** `["body", "stream_options", "include_usage"]` as a path, and as that of the object. */
function pathsOf(loc: readonly unknown[]): string[] {
  const parts = loc.filter((part) => typeof part === 'string' && part !== 'body');
  return [parts.slice(0, 1), parts.slice(0, 2)].map((few) => few.join('.'));
}
