import {
  EXIT,
  type ExitCode,
  errorLines,
  errorText,
  knownError,
  usageError,
  worstExit,
} from '../core/errors.ts';
import { VERSION } from './about.ts';
import { completionHelp } from './completion.ts';
import { OWN_VERBS } from './own-verbs.ts';
import { print, printError, written } from './terminal.ts';

/** argv in, exit code out: the only place that catches. Standard output that takes no more is exit 2. */
export async function runApp(args: readonly string[]): Promise<ExitCode> {
  const exitCode = await runVerb(args);
  return worstExit([exitCode, await written()]);
}

async function runVerb(args: readonly string[]): Promise<ExitCode> {
  try {
    process.cwd();
  } catch (error) {
    return tell(
      usageError(`the working directory is gone (${errorText(error)})`, 'go to a folder that exists first'),
    );
  }
  const own = await startOwnVerb(args);
  if (own !== null) return own;
  let exitCode: ExitCode = EXIT.ok;
  const set = (code: ExitCode): void => {
    exitCode = code;
  };
  try {
    const help = args[0] === 'completion' ? completionHelp(args.slice(1)) : null;
    if (help !== null) print(help);
    else {
      const { makeParser } = await import('./parser.ts');
      await (await makeParser(args[0] === 'completion' ? ['completion'] : args, set)).parseAsync();
    }
    return exitCode;
  } catch (error) {
    return tell(error);
  }
}

/** Runs a verb that the parser does not know; null for any other. */
async function startOwnVerb([verb, ...args]: readonly string[]): Promise<ExitCode | null> {
  switch (verb) {
    case OWN_VERBS.promptChild:
      await (await import('./prompt-child.ts')).runPromptChild();
      return EXIT.ok;
    case OWN_VERBS.loadRank:
      return (await import('./ranks/rank.ts')).runRank(args).catch(tell);
    case OWN_VERBS.supervise:
      return (await import('./stack/supervise.ts')).runSupervise(args[0] ?? '').catch(tell);
    case 'serving':
      return (await import('./serving/serving.ts')).runServing(args).catch(tell);
    default:
      return null;
  }
}

/** Tells an error on stderr, a known one in a line and its hint, a bug with its stack; gives the exit code. */
export function tell(error: unknown): ExitCode {
  const known = knownError(error);
  if (known !== null) {
    printError(errorLines(known));
    return known.exitCode;
  }
  const stack = error instanceof Error ? (error.stack ?? errorText(error)) : errorText(error);
  printError(
    `bench: this is a bug of bench ${VERSION} (Node ${process.version}); please report it with the command and this text:\n${stack}\n`,
  );
  return EXIT.bug;
}
