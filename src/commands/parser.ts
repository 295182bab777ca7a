import yargs, { type Argv, type InferredOptionTypes, type Options } from 'yargs';
import { type BenchError, type ExitCode, usageError } from '../core/errors.ts';
import { VERSION } from './about.ts';
import { answerForeign } from './foreign-flags.ts';
import { suggestFlags } from './suggestion.ts';
import type { VerbTools } from './verb.ts';
import { VERBS } from './verbs.ts';

/** The parser of all verbs but those of `OWN_VERBS` and `serving`. `set` takes the exit code of the command that ran. */
export async function makeParser(args: readonly string[], set: (code: ExitCode) => void): Promise<Argv> {
  const words = joinMockFlags(args);
  /** Options of the command that was given. */
  const known: string[] = [];
  const declare = <T extends Record<string, Options>>(y: Argv, options: T) => {
    known.push(...Object.keys(options));
    return addOptions(y, options, words);
  };
  const parser = yargs(words) as Argv;
  parser
    .scriptName('bench')
    .usage('$0 <command>\n\nMeasures how an LLM server answers under load, with prompts of exact length.')
    .parserConfiguration({
      'camel-case-expansion': false,
      'greedy-arrays': false,
    });
  // The verb that is asked for, or whose flags a shell wants completed: the first word that is one.
  const asked = words.find((word) => Object.hasOwn(VERBS, word));
  for (const [name, { usage, about, load }] of Object.entries(VERBS)) {
    const tools: VerbTools = { usage, about, declare, set, argv: args };
    if (name === asked) (await load())(parser, tools);
    else parser.command(usage, about);
  }
  return (
    parser
      .completion('completion', 'print a completion script for bash or zsh')
      .demandCommand(
        1,
        `say what to do: bench ${Object.keys(VERBS)
          .join(', ')
          .replace(/, (?=[^,]*$)/, ' or ')}`,
      )
      .strict()
      .recommendCommands()
      // Its messages are read below, in any language of the user.
      .locale('en')
      .version(VERSION)
      .alias('help', 'h')
      .wrap(Math.min(120, process.stdout.columns || 100))
      .exitProcess(false)
      .fail((message, error) => {
        if (error) throw error;
        throw wrongUsage(message, args, known);
      })
  );
}

/**
 * Declares options and refuses what the parser lets pass: a missing value, `--no-` before one, no number,
 * and an option given twice that is no list.
 */
function addOptions<T extends Record<string, Options>>(
  y: Argv,
  options: T,
  args: readonly string[],
): Argv<InferredOptionTypes<T>> {
  // Without a type or choices it may stand alone: yargs then makes it true.
  const isSwitch = (name: string): boolean => {
    const { type, choices } = options[name]!;
    return type === 'boolean' || (type === undefined && choices === undefined);
  };
  const valued = Object.keys(options).filter((name) => !isSwitch(name));
  const check = (argv: Record<string, unknown>): true => {
    const twice = Object.keys(options).find(
      (name) => !isSwitch(name) && options[name]!.type !== 'array' && Array.isArray(argv[name]),
    );
    if (twice !== undefined) throw usageError(`--${twice}: given more than once`, 'give it once');
    for (const name of valued) {
      const at = args.indexOf(`--${name}`);
      if (at >= 0 && (args[at + 1] ?? '--').startsWith('--'))
        throw usageError(`--${name}: its value is missing`, `write --${name} VALUE`);
      if (args.includes(`--no-${name}`))
        throw usageError(`--no-${name}: --${name} is no switch`, 'leave it out');
      if (Number.isNaN(argv[name])) {
        const word = args.findLast((arg, i) => args[i - 1] === `--${name}` || arg.startsWith(`--${name}=`));
        throw usageError(
          `--${name}: "${word?.replace(`--${name}=`, '')}" is not a number`,
          'give a number, as in 4000',
        );
      }
    }
    return true;
  };
  return (y.options(options) as Argv<InferredOptionTypes<T>>).check(check, false);
}

/** `--mock-flags "--step 5ms"` as one word: the parser takes a word that starts with dashes for an option. */
function joinMockFlags(args: readonly string[]): string[] {
  const at = args.indexOf('--mock-flags');
  if (at < 0 || at + 1 >= args.length) return [...args];
  return [...args.slice(0, at), `--mock-flags=${args[at + 1]!}`, ...args.slice(at + 2)];
}

/** The word of a verb that is missing behind `given` others, and how all of them are written. */
function wordOf(verb: string, given: number): readonly [what: string, example: string] {
  switch (verb) {
    case 'compare':
      return [given === 0 ? 'the baseline' : 'the candidate', 'results/before results/after'];
    case 'gate':
      return ['the folder of a run', 'results/change --baseline baseline.json'];
    default:
      return ['the folder of a run', 'results/sample'];
  }
}

/** What the parser says in several lines, as one line that names the option and the value. */
function wrongUsage(message: string, args: readonly string[], known: readonly string[]): BenchError {
  const verb = Object.keys(VERBS).find((name) => name === args[0]);
  const inner = verb === 'stack' && /^[a-z]/.test(args[1] ?? '') ? ` ${args[1]}` : '';
  const hint = verb === undefined ? 'see bench --help' : `see bench ${verb}${inner} --help`;
  const foreign = answerForeign(args, known);
  if (foreign !== null)
    return usageError(
      foreign.lines.join('; '),
      foreign.isSglang ? `${hint}, or give sglang's flags to bench serving` : hint,
    );
  const choice = /Argument: (\S+), Given: (.*), Choices: (.*)/.exec(message);
  if (choice) {
    const [, name, given, choices] = choice as unknown as [string, string, string, string];
    return usageError(`--${name}: ${given} is not known`, `give one of ${choices.replaceAll('"', '')}`);
  }
  const required = /^Missing required arguments?: (.*)/.exec(message)?.[1];
  if (required !== undefined) return usageError(`missing: ${required.replaceAll(/[^\s,]+/g, '--$&')}`, hint);
  const given = /^Not enough non-option arguments: got (\d+)/.exec(message)?.[1];
  if (given !== undefined && verb !== undefined) {
    const [what, example] = inner === '' ? wordOf(verb, Number(given)) : ['the stack file', 'stack.yaml'];
    return usageError(`bench ${verb}${inner}: ${what} is missing`, `write bench ${verb}${inner} ${example}`);
  }
  const similar = /^Did you mean (\S+)\?/.exec(message)?.[1];
  if (similar !== undefined)
    return usageError(
      `unknown command: ${verb === 'stack' ? `stack${inner}` : args[0]}`,
      `did you mean ${similar}?`,
    );
  const unknown = /^Unknown (?:arguments?|commands?): (.*)/.exec(message.split('\n', 1)[0]!)?.[1];
  if (unknown === undefined) return usageError(message.split('\n', 1)[0]!, hint);
  const words = unknown.split(', ').map((word) => {
    const dashed = args.find((arg) => /^--?/.test(arg) && arg.replace(/^-+/, '').split('=', 1)[0] === word);
    return dashed === undefined ? `"${word}"` : dashed.split('=', 1)[0]!;
  });
  if (verb === undefined && words[0] === `"${args[0]}"`)
    return usageError(`unknown command: ${args[0]}`, hint);
  if (verb === 'stack' && words[0] === `"${args[1]}"`)
    return usageError(`unknown command: stack ${args[1]}`, 'see bench stack --help');
  const meant = suggestFlags(words, known);
  return usageError(`unknown: ${words.join(', ')}`, meant === null ? hint : `${meant} ${hint}`);
}
