import { getSystemErrorMap } from 'node:util';
import { EXIT, type ExitCode, errorLines, errorText, usageError } from '../core/errors.ts';
import { printable } from '../core/printable.ts';
import { PAINT_CODES } from '../exporters/page-style.ts';

/**
 * The one place where commands write on standard output and standard error. Text of servers and files is in most of
 * what they print, so control characters are written as escapes (`core/printable`); what bench itself draws with passes.
 */

/** Why standard output takes no more; null while it does. */
let refusal: NodeJS.ErrnoException | null = null;
let isReported = false;
/** Folder of the results that this process wrote; null while it has none. */
let resultsFolder: string | null = null;

/** Colours of a page, as `paint` gives them. */
const COLOURS = new RegExp(`(${String.fromCharCode(27)}\\[(?:${PAINT_CODES.join('|')})m)`);

/** Writes on standard output. */
export function print(text: string): void {
  process.stdout.write(printable(text));
}

/** Writes a page on standard output that is drawn with `pageStyle`: where that has colours, they pass. */
export function printPage(page: string): void {
  const parts = isRich(process.stdout) ? page.split(COLOURS) : [page];
  process.stdout.write(parts.map((part, nth) => (nth % 2 === 0 ? printable(part) : part)).join(''));
}

/** Writes on standard error. */
export function printError(text: string): void {
  process.stderr.write(printable(text));
}

/** Whether lines may be drawn anew and in colour: on a terminal that can, and whose user wants it. */
export function isRich(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && process.env['TERM'] !== 'dumb' && !process.env['NO_COLOR'];
}

/** Where the results are, in case standard output does not take the words that say it. */
export function resultsAreIn(folder: string): void {
  resultsFolder = folder;
}

/**
 * From now on a disk that refuses what is printed ends no work: `written` reports it. A reader that has seen enough
 * (`bench report DIR | head`) is no failure, and progress on standard error is never needed.
 */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') refusal ??= error;
  });
  process.stderr.on('error', () => undefined);
}

/** Waits until standard output took all that was printed. Exit 2 where it did not, which is reported once; else 0. */
export async function written(): Promise<ExitCode> {
  await new Promise<void>((resolve) => process.stdout.write('', () => setImmediate(resolve)));
  if (refusal === null) return EXIT.ok;
  if (isReported) return EXIT.usage;
  isReported = true;
  const cause = getSystemErrorMap().get(refusal.errno ?? 0)?.[1] ?? errorText(refusal);
  const place = resultsFolder === null ? 'write it to another place' : `the results are in ${resultsFolder}`;
  printError(errorLines(usageError(`cannot write to standard output (${cause})`, place)));
  return EXIT.usage;
}
