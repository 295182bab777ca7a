import type { Argv, InferredOptionTypes, Options } from 'yargs';
import type { ExitCode } from '../core/errors.ts';

/** Declares the options of a command so that wrong ones are refused in the same words everywhere. */
export type Declare = <T extends Record<string, Options>>(
  y: Argv,
  options: T,
) => Argv<InferredOptionTypes<T>>;

/** What the program gives to a verb that puts itself into the parser. */
export interface VerbTools {
  /** Its place in the command line and its line in the help. */
  readonly usage: string;
  readonly about: string;
  readonly declare: Declare;
  /** Takes the exit code of the command that ran. */
  readonly set: (code: ExitCode) => void;
  /** All words behind `bench`. */
  readonly argv: readonly string[];
}

/** Puts a verb with its options, examples and handler into the parser. */
export type AddVerb = (y: Argv, tools: VerbTools) => Argv;

/** A verb of the command line. Its code is loaded when it is asked for: each run pays for what it uses alone. */
export interface Verb {
  readonly usage: string;
  readonly about: string;
  readonly load: () => Promise<AddVerb>;
}
