import type { Told } from '../../core/conformance.ts';
import type { StampedRun } from '../../core/conformance-stamps.ts';
import type { Chosen, Meanings } from '../../core/conformance-truth.ts';
import type { Kind } from '../../core/kind.ts';
import type { Case } from './cases.ts';

/** What a client is asked to do. */
export interface Task {
  readonly url: string;
  readonly of: Case;
  /** Folder for its files; there when it starts, and its working directory. */
  readonly dir: string;
  /** Folder with the tokenizer of the server, for clients that want one. */
  readonly tokenizer: string;
}

/** A client that is there. */
export interface Installed {
  /** What is started; the arguments come after it. */
  readonly words: readonly string[];
  /** Variables on top of this process's own. */
  readonly env: Readonly<Record<string, string>>;
}

/** What a client left behind. */
export interface Reading {
  readonly told: Told;
  readonly chosen: Chosen;
  /** Its instants, where it keeps them. */
  readonly stamped: StampedRun | null;
  /** What it says of itself; null for nothing. */
  readonly remark: string | null;
}

/** The values as `--name value` each. */
export function flagWords(values: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

/** A client that can be scored. */
export interface Client extends Kind {
  /** Who its result files are of, by the name of their importer; null for bench's own. */
  readonly tool: string | null;
  /** What it means by its latencies. */
  readonly meanings: Meanings;
  /** The client on this machine, or what is missing, in a phrase. */
  find(): Installed | string;
  args(task: Task): readonly string[];
  /** Reads its files. Throws where they are missing or are none of its. */
  read(task: Task): Reading;
}
