/** One line of a Prometheus text. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** NaN, Infinity and -Infinity are values that servers do send. */
  readonly value: number;
}

const NAME = /^[A-Za-z_:][\w:.]*/;
/** A label or a quoted name, with the comma after it. */
const LABEL = /\s*(?:([A-Za-z_][\w.:-]*)|"((?:[^"\\]|\\.)*)")\s*(?:=\s*"((?:[^"\\]|\\.)*)")?\s*,?/y;
const CLOSE = /\s*\}/y;
const VALUE = /^\s*(?:([+-]?Inf)|(NaN)|([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?))(?:\s|$)/i;

/**
 * The samples of the names that `wanted` takes, of a text in Prometheus's format (0.0.4 and 1.0.0, names in quotes included) or
 * OpenMetrics (up to `# EOF`; exemplars and time stamps are passed over). A line that is none of these is left out.
 */
export function parsePrometheus(text: string, wanted: (name: string) => boolean): Sample[] {
  const samples: Sample[] = [];
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf('\n', at);
    const end = found < 0 ? text.length : found;
    const first = text.charCodeAt(at);
    if (first !== 35) {
      const sample = parseLine(text.slice(at, end), wanted);
      if (sample !== null) samples.push(sample);
    } else if (text.startsWith('# EOF', at)) break;
    at = end + 1;
  }
  return samples;
}

function parseLine(whole: string, wanted: (name: string) => boolean): Sample | null {
  const line = whole.trimStart();
  let name = NAME.exec(line)?.[0] ?? null;
  if (name !== null && !wanted(name)) return null;
  let rest = line.slice(name?.length ?? 0).trimStart();
  const labels: Record<string, string> = {};
  if (rest.startsWith('{')) {
    let at = 1;
    for (CLOSE.lastIndex = at; !CLOSE.test(rest); CLOSE.lastIndex = at) {
      LABEL.lastIndex = at;
      const part = LABEL.exec(rest);
      if (part === null) return null;
      const [, plain, quoted, value] = part;
      if (value !== undefined) labels[plain ?? unescaped(quoted!)] = unescaped(value);
      else if (name === null && quoted !== undefined) name = unescaped(quoted);
      else return null;
      at = LABEL.lastIndex;
    }
    rest = rest.slice(rest.indexOf('}', at) + 1);
  }
  if (name === null || !wanted(name)) return null;
  const [, infinite, nan, number] = VALUE.exec(rest) ?? [];
  if (infinite !== undefined)
    return {
      name,
      labels,
      value: infinite.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY,
    };
  if (nan !== undefined) return { name, labels, value: Number.NaN };
  return number === undefined ? null : { name, labels, value: Number(number) };
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character));
}

/** Sum over all series called `name`, those without a finite value left out; null when there is none. */
export function sumSeries(metrics: string, name: string): number | null {
  const values = parsePrometheus(metrics, (one) => one === name)
    .map(({ value }) => value)
    .filter(Number.isFinite);
  return values.length === 0 ? null : values.reduce((total, value) => total + value, 0);
}
