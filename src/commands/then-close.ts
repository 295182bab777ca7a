import { BenchError, EXIT, type ExitCode, errorLines, errorText } from '../core/errors.ts';
import { printError } from './terminal.ts';

/**
 * Runs `work`, then `close`, whatever came of it. What went wrong first counts: an error of `close` is the
 * outcome of work alone that ended well, and is told on stderr beside any other.
 */
export async function thenClose(
  work: () => Promise<ExitCode>,
  close: () => Promise<void>,
): Promise<ExitCode> {
  let code: ExitCode;
  try {
    code = await work();
  } catch (error) {
    await close().catch(say);
    throw error;
  }
  if (code === EXIT.ok) await close();
  else await close().catch(say);
  return code;
}

function say(error: unknown): void {
  printError(error instanceof BenchError ? errorLines(error) : `bench: ${errorText(error)}\n`);
}
