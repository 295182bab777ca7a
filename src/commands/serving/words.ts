import { ArgumentError, ArgumentParser, ArgumentTypeError, type Namespace, SUPPRESS } from 'argparse';
import { type BenchError, usageError } from '../../core/errors.ts';
import { SLO_NAMES, type SloName } from '../../core/slo.ts';
import { suggestFlags } from '../suggestion.ts';
import type { FlagType, ServingFlag } from './flag.ts';
import { FLAGS, servingFlagNames } from './flags.ts';
import { pythonFloat, pythonInt } from './python-numbers.ts';

const HINT = 'see bench serving --help';
/** Stands before our own flags inside the parser, so that no abbreviation reaches them. */
const SEAL = ':';

/**
 * What the words give, by flag name, as argparse reads them: unique prefixes of sglang's flags, `--x=y`, the last one
 * wins. Underscores in a name are dashes; our own flags must be written in full. Only what was given is in the map.
 * Exit 2 on unknown or ambiguous flags, missing values, and values of a wrong type or outside a flag's choices.
 */
export function parseServingWords(argv: readonly string[]): ReadonlyMap<string, unknown> {
  let given: Namespace;
  let unknown: string[];
  try {
    [given, unknown] = makeParser().parse_known_args(argv.map(rewrite));
  } catch (error) {
    if (error instanceof ArgumentError) throw told(error.message);
    throw error;
  }
  if (unknown.length > 0) throw unknownWords(unknown);
  if (given['help'] === true) throw usageError('--help: write it in full', 'bench serving --help');
  return new Map(Object.entries(given));
}

function makeParser(): ArgumentParser {
  const parser = new ArgumentParser({ prog: 'bench serving', add_help: false, exit_on_error: false });
  // First, as in Python: it takes part in abbreviations.
  parser.add_argument('-h', '--help', { action: 'store_true', default: SUPPRESS });
  for (const flag of FLAGS) {
    const name = flag.standing === 'own' ? `--${SEAL}${flag.name}` : `--${flag.name}`;
    const common = { dest: flag.name, default: SUPPRESS };
    if (flag.type === 'switch') parser.add_argument(name, { ...common, action: 'store_true' });
    else
      parser.add_argument(name, {
        ...common,
        type: (text: string) => readValue(flag, text),
        ...(flag.nargs === undefined ? {} : { nargs: flag.nargs }),
        ...(flag.repeats ? { action: 'append' } : {}),
      });
  }
  return parser;
}

/** A word with the flag's name as the parser knows it; words that name no flag stay as they are. */
function rewrite(word: string): string {
  const match = /^--([a-z][\w-]*)(=.*)?$/is.exec(word);
  if (match === null) return word;
  const name = match[1]!.replaceAll('_', '-');
  const value = match[2] ?? '';
  if (FLAGS.some((flag) => flag.standing === 'own' && flag.name === name)) return `--${SEAL}${name}${value}`;
  return FLAGS.some((flag) => flag.name.startsWith(name)) ? `--${name}${value}` : word;
}

function readValue(flag: ServingFlag, text: string): unknown {
  if (flag.choices !== undefined && !flag.choices.includes(text)) {
    const choices = flag.accepts?.values ?? flag.choices;
    throw new ArgumentTypeError(`invalid choice: '${text}' (choose from ${choices.join(', ')})`);
  }
  return READERS[flag.type](text);
}

const READERS: Record<FlagType, (text: string) => unknown> = {
  int: (text) => numberOf(pythonInt(text), `invalid int value: '${text}'`),
  float: (text) => numberOf(pythonFloat(text), `invalid float value: '${text}'`),
  positive: readPositive,
  slo: readSlo,
  str: (text) => text,
  json: (text) => text,
  switch: () => true,
};

function numberOf(value: number | null, refusal: string): number {
  if (value === null) throw new ArgumentTypeError(refusal);
  return value;
}

function readPositive(text: string): number {
  const value = pythonFloat(text);
  if (value !== null && Number.isFinite(value) && value > 0) return value;
  throw new ArgumentTypeError(`expected a finite float > 0, got '${text}'`);
}

function readSlo(text: string): [SloName, number] {
  const [name, ...rest] = text.split(':');
  const metric = SLO_NAMES.find((one) => one === name);
  if (metric !== undefined) return [metric, readPositive(rest.join(':'))];
  throw new ArgumentTypeError(`expected KEY:VALUE with KEY in ${SLO_NAMES.join(', ')}, got '${text}'`);
}

/** argparse's own words on one line, without what may be a secret value after `=`. */
function told(message: string): BenchError {
  const line = message
    .replace(/^argument (?:-h\/)?/, '')
    .replaceAll(`--${SEAL}`, '--')
    .replace(/^(ambiguous option: --[^=]*)=.*(?= could match )/s, '$1')
    .replace(/^(--\S+: ignored explicit argument).*/s, '$1');
  return usageError(line, HINT);
}

/** Names what is not known: the flags among it, else the words; nothing after an `=`. */
function unknownWords(words: readonly string[]): BenchError {
  const flags = words.filter((word) => /^-./.test(word)).map((word) => word.split('=', 1)[0]!);
  if (flags.length === 0)
    return usageError(
      `unknown: ${words.join(', ')}`,
      'each value stands behind its flag; see bench serving --help',
    );
  return usageError(`unknown: ${flags.join(', ')}`, hintFor(flags.filter((flag) => flag !== '--')));
}

function hintFor(flags: readonly string[]): string {
  if (flags.length === 0) return 'bare dashes name no flag: leave them out, or write a name behind them';
  const own = FLAGS.filter(
    ({ standing, name }) => standing === 'own' && flags.some((flag) => `--${name}`.startsWith(flag)),
  );
  if (own.length > 0)
    return `bench's own flags must be written in full: ${own.map(({ name }) => `--${name}`).join(', ')}?`;
  const similar = suggestFlags(flags, servingFlagNames());
  return similar === null ? HINT : `${similar} ${HINT}`;
}
