import { BenchError, EXIT, type ExitCode, errorLines, errorText } from '../core/errors.ts';
import { VERSION } from './about.ts';
import { completionHelp } from './completion.ts';
import { OWN_VERBS } from './own-verbs.ts';

/** argv in, exit code out: the only place that catches. */
export async function runApp(args: readonly string[]): Promise<ExitCode> {
  const own = await startOwnVerb(args);
  if (own !== null) return own;
  let exitCode: ExitCode = EXIT.ok;
  const set = (code: ExitCode): void => {
    exitCode = code;
  };
  try {
    const help = args[0] === 'completion' ? completionHelp(args.slice(1)) : null;
    if (help !== null) process.stdout.write(help);
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
  if (error instanceof BenchError && error.exitCode !== EXIT.bug) {
    process.stderr.write(errorLines(error));
    return error.exitCode;
  }
  const stack = error instanceof Error ? (error.stack ?? errorText(error)) : errorText(error);
  process.stderr.write(
    `bench: this is a bug of bench ${VERSION} (Node ${process.version}); please report it with the command and this text:\n${stack}\n`,
  );
  return EXIT.bug;
}
