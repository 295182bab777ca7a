import yargs, { type Argv, type InferredOptionTypes, type Options } from 'yargs';
import { BenchError, EXIT, type ExitCode, errorText, usageError } from '../core/errors.ts';
import { VERSION } from './about.ts';
import { runCheck } from './check.ts';
import { completionHelp } from './completion.ts';
import { MOCK_OPTIONS, runMock } from './mock.ts';
import {
  withOptions as declareOptions,
  LOAD_OPTIONS,
  OUTPUT_OPTIONS,
  PROMPT_OPTIONS,
  RUN_OPTIONS,
  SPREAD_OPTIONS,
  STACK_OPTIONS,
  SWEEP_OPTIONS,
  TARGET_OPTIONS,
} from './options.ts';
import { PROMPT_CHILD_VERB, runPromptChild } from './prompt-child.ts';
import { PROMPTS_OPTIONS, runPrompts } from './prompts.ts';
import { LOAD_RANK_VERB } from './ranks/protocol.ts';
import { runRank } from './ranks/rank.ts';
import { REPORT_OPTIONS, runReport } from './report.ts';
import { servingFlagNames } from './serving/arguments.ts';
import { runServing } from './serving/serving.ts';
import { stackCommands } from './stack/index.ts';
import { SUPERVISE_VERB } from './stack/start.ts';
import { runSupervise } from './stack/supervise.ts';
import { suggestFlags } from './suggestion.ts';
import { runMeasure } from './sweep.ts';

const VERBS = ['sweep', 'run', 'serving', 'stack', 'check', 'prompts', 'report', 'mock'] as const;

/** argv in, exit code out: the only place that catches. */
export async function runApp(args: readonly string[]): Promise<ExitCode> {
  if (args[0] === PROMPT_CHILD_VERB) {
    await runPromptChild();
    return EXIT.ok;
  }
  if (args[0] === LOAD_RANK_VERB) return runRank(args.slice(1)).catch(tell);
  if (args[0] === SUPERVISE_VERB) return runSupervise(args[1] ?? '').catch(tell);
  if (args[0] === 'serving') return runServing(args.slice(1)).catch(tell);
  let exitCode: ExitCode = EXIT.ok;
  const set = (code: ExitCode): void => {
    exitCode = code;
  };
  try {
    const help = args[0] === 'completion' ? completionHelp(args.slice(1)) : null;
    if (help !== null) process.stdout.write(help);
    else await makeParser(args[0] === 'completion' ? ['completion'] : args, set).parseAsync();
    return exitCode;
  } catch (error) {
    return tell(error);
  }
}

/** Tells an error on stderr, a known one in a line and its hint, a bug with its stack; gives the exit code. */
export function tell(error: unknown): ExitCode {
  if (error instanceof BenchError && error.exitCode !== EXIT.bug) {
    process.stderr.write(`bench: ${error.message}${error.hint === null ? '' : `\n  ${error.hint}`}\n`);
    return error.exitCode;
  }
  const stack = error instanceof Error ? (error.stack ?? errorText(error)) : errorText(error);
  process.stderr.write(
    `bench: this is a bug of bench ${VERSION} (Node ${process.version}); please report it with the command and this text:\n${stack}\n`,
  );
  return EXIT.bug;
}

function makeParser(args: readonly string[], set: (code: ExitCode) => void): Argv {
  const words = joinMockFlags(args);
  /** Options of the command that was given. */
  const known: string[] = [];
  const withOptions = <T extends Record<string, Options>>(y: Argv, options: T) => {
    known.push(...Object.keys(options));
    return addOptions(y, options, words);
  };
  const parser = yargs(words)
    .scriptName('bench')
    .usage('$0 <command>\n\nMeasures how an LLM server answers under load, with prompts of exact length.')
    .parserConfiguration({
      'camel-case-expansion': false,
      'greedy-arrays': false,
    })
    .command(
      'sweep',
      'measure a shape at several concurrency levels',
      (y) =>
        withOptions(y, {
          ...TARGET_OPTIONS,
          ...PROMPT_OPTIONS,
          ...LOAD_OPTIONS,
          ...SPREAD_OPTIONS,
          ...SWEEP_OPTIONS,
          ...OUTPUT_OPTIONS,
          ...STACK_OPTIONS,
        })
          .example('$0 sweep --isl 4000 --osl 1000', 'levels 1, 2, 4 … 128 against http://localhost:8000')
          .example(
            '$0 sweep --isl 4000 --osl 1000 --tokenizer /models/r1 --concurrency 1,8,64 --gpus 8',
            "with the model's tokenizer",
          )
          .example(
            '$0 sweep --shape 1000x1000,8000x1000 --url http://head:8000 --tag stack=1p1d',
            'two shapes, tagged',
          )
          .example(
            '$0 sweep --isl 4000 --osl 1000 --stack datasets/stacks/dsr1-fp4-gb200-1p1d.yaml',
            'launch the stack on SLURM, measure it, tear it down',
          )
          .example('$0 sweep --mock --isl 1000 --osl 100 --pause 0s', 'without any server'),
      async (argv) => set(await runMeasure(argv, 'sweep', args)),
    )
    .command(
      'run',
      'measure one point',
      (y) =>
        withOptions(y, {
          ...TARGET_OPTIONS,
          ...PROMPT_OPTIONS,
          ...LOAD_OPTIONS,
          ...SPREAD_OPTIONS,
          ...RUN_OPTIONS,
          ...OUTPUT_OPTIONS,
          ...STACK_OPTIONS,
        })
          .example(
            '$0 run --isl 1000 --osl 200 --concurrency 16 --requests 200',
            '200 requests, 16 at a time',
          )
          .example('$0 run --isl 1000 --osl 200 --concurrency 16 --duration 2m', 'for two minutes'),
      async (argv) =>
        set(
          await runMeasure(
            { ...argv, 'requests-per-concurrency': 4, skip: 0, pause: '0s', resume: undefined },
            'run',
            args,
          ),
        ),
    )
    .command(
      'serving',
      'take the flags and give the output of sglang.bench_serving',
      // Parsed by another parser, with argparse's manners; here for the help and the completion alone.
      (y) => y.options(Object.fromEntries(servingFlagNames().map((name) => [name, {}]))),
    )
    .command(
      'check',
      'ask a server for its models and stream one request',
      (y) =>
        withOptions(y, TARGET_OPTIONS).example(
          '$0 check --url http://head:8000',
          'is the stack really ready?',
        ),
      async (argv) => set(await runCheck(argv)),
    )
    .command(
      'prompts',
      'print or save the prompts of a run, with their counts',
      (y) =>
        withOptions(y, PROMPTS_OPTIONS).example(
          '$0 prompts --isl 4000 --count 2 --tokenizer /models/r1 --out prompts.jsonl',
          'two prompts of 4,000 tokens',
        ),
      async (argv) => set(await runPrompts(argv)),
    )
    .command(
      'report <dir>',
      "show the results of a run again, or another tool's; export a run",
      (y) =>
        withOptions(
          y.positional('dir', {
            type: 'string',
            demandOption: true,
            describe: 'folder of a run, its report.json, or a result of sglang.bench_serving, vLLM or AIPerf',
          }),
          REPORT_OPTIONS,
        )
          .example('$0 report results/sample', 'the table of the run that comes with bench')
          .example(
            '$0 report results/sample --export vllm,aiperf',
            'its results for readers of vLLM and AIPerf',
          )
          .example('$0 report sglang-oai-chat_0612_64_4000_1000.jsonl', 'a result of sglang.bench_serving'),
      async (argv) => set(runReport({ ...argv, dir: String(argv['dir']) })),
    )
    .command(
      'mock',
      'serve a simulated model with a known schedule',
      (y) =>
        withOptions(y, MOCK_OPTIONS).example(
          '$0 mock --ttft 200ms --step 10ms',
          'every answer after 200 ms, a token each 10 ms',
        ),
      async (argv) => set(await runMock(argv)),
    )
    .command('stack', 'launch, prove ready, watch and tear down the stack under test', (y) =>
      stackCommands(y, withOptions, set),
    )
    .completion('completion', 'print a completion script for bash or zsh')
    .demandCommand(1, 'say what to do: bench sweep, run, serving, stack, check, prompts, report or mock')
    .strict()
    .recommendCommands()
    .version(VERSION)
    .alias('help', 'h')
    .wrap(Math.min(120, process.stdout.columns || 100))
    .exitProcess(false)
    .fail((message, error) => {
      if (error) throw error;
      throw wrongUsage(message, args, known);
    });
  return parser as Argv;
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
  const valued = Object.keys(options).filter((name) => options[name]!.type !== 'boolean');
  const check = (argv: Record<string, unknown>): true => {
    const twice = Object.keys(options).find(
      (name) => options[name]!.type !== 'array' && Array.isArray(argv[name]),
    );
    if (twice !== undefined) throw usageError(`--${twice}: given more than once`, 'give it once');
    for (const name of valued) {
      const at = args.indexOf(`--${name}`);
      if (at >= 0 && (args[at + 1] ?? '--').startsWith('--'))
        throw usageError(`--${name}: its value is missing`, `write --${name} VALUE`);
      if (args.includes(`--no-${name}`))
        throw usageError(`--no-${name}: --${name} is no switch`, 'leave it out');
      if (Number.isNaN(argv[name])) throw usageError(`--${name}: not a number`, 'give a number');
    }
    return true;
  };
  return declareOptions(y, options).check(check, false);
}

/** `--mock-flags "--step 5ms"` as one word: the parser takes a word that starts with dashes for an option. */
function joinMockFlags(args: readonly string[]): string[] {
  const at = args.indexOf('--mock-flags');
  if (at < 0 || at + 1 >= args.length) return [...args];
  return [...args.slice(0, at), `--mock-flags=${args[at + 1]!}`, ...args.slice(at + 2)];
}

/** What the parser says in several lines, as one line that names the option and the value. */
function wrongUsage(message: string, args: readonly string[], known: readonly string[]): BenchError {
  const verb = VERBS.find((name) => name === args[0]);
  const inner = verb === 'stack' && /^[a-z]/.test(args[1] ?? '') ? ` ${args[1]}` : '';
  const hint = verb === undefined ? 'see bench --help' : `see bench ${verb}${inner} --help`;
  const choice = /Argument: (\S+), Given: (.*), Choices: (.*)/.exec(message);
  if (choice) {
    const [, name, given, choices] = choice as unknown as [string, string, string, string];
    return usageError(`--${name}: ${given} is not known`, `give one of ${choices.replaceAll('"', '')}`);
  }
  const required = /^Missing required arguments?: (.*)/.exec(message)?.[1];
  if (required !== undefined) return usageError(`missing: ${required.replaceAll(/[^\s,]+/g, '--$&')}`, hint);
  if (message.startsWith('Not enough non-option arguments') && verb === 'report')
    return usageError('bench report: the folder of a run is missing', 'write bench report results/sample');
  if (message.startsWith('Not enough non-option arguments') && inner !== '')
    return usageError(
      `bench stack${inner}: the stack file is missing`,
      `write bench stack${inner} stack.yaml`,
    );
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
  const meant = suggestFlags(words, known);
  return usageError(`unknown: ${words.join(', ')}`, meant === null ? hint : `${meant} ${hint}`);
}
