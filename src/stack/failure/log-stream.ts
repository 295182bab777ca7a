import { type Crash, type CrashBlock, openCrash } from './crash-block.ts';

/** Lines kept before and after one that tells something. */
const EVIDENCE_LINES = 20;

/** A line with what stands around it; `after` fills while the following lines come. */
export interface Evidence {
  readonly line: string;
  readonly before: readonly string[];
  readonly after: string[];
}

/** A crash that is over, with the line that began it and when that was read. */
export interface SeenCrash extends Evidence {
  readonly crash: Crash;
  readonly atMs: number;
}

/** The lines of one process: what stands around each, and the crashes that go over several of them. */
export class LogStream {
  /** When the last line was read. */
  lastMs = 0;
  /** The last lines, the newest too, oldest first. */
  readonly #last: string[] = [];
  #following: string[][] = [];
  #crash: (Evidence & { readonly block: CrashBlock; readonly atMs: number }) | null = null;

  /** Adds a line that is only context. */
  remember(text: string, atMs: number): void {
    this.lastMs = atMs;
    this.#last.push(text);
    if (this.#last.length > EVIDENCE_LINES + 1) this.#last.shift();
    for (const after of this.#following) after.push(text);
    this.#following = this.#following.filter((after) => after.length < EVIDENCE_LINES);
  }

  /** The last lines, oldest first; at most 20. */
  lastLines(): readonly string[] {
    return this.#last.slice(-EVIDENCE_LINES);
  }

  /** The newest line as evidence. */
  evidence(): Evidence {
    const after: string[] = [];
    this.#following.push(after);
    return { line: this.#last.at(-1) ?? '', before: this.#last.slice(0, -1), after };
  }

  /**
   * Adds a line that the process wrote. `crash`: one that this line has shown to be over. `taken`: the line
   * is part of a crash, and means nothing alone.
   */
  take(text: string, atMs: number): { readonly crash: SeenCrash | null; readonly taken: boolean } {
    if (this.#crash?.block.add(text) === true) {
      this.remember(text, atMs);
      return { crash: null, taken: true };
    }
    const crash = this.#endCrash(false);
    const block = openCrash(text, this.#last.at(-1) ?? null);
    this.remember(text, atMs);
    if (block !== null) this.#crash = { block, atMs, ...this.evidence() };
    return { crash, taken: block !== null };
  }

  /** The crash whose lines are coming, taken as complete; null when there is none, or none that is sure. */
  endCrash(): SeenCrash | null {
    return this.#crash?.block.isOpen === true ? null : this.#endCrash(true);
  }

  /** The same once the process has ended, or is taken for it: what its last words were, was not caught. */
  lastCrash(): SeenCrash | null {
    return this.#endCrash(true);
  }

  #endCrash(last: boolean): SeenCrash | null {
    if (this.#crash === null) return null;
    const { block, ...seen } = this.#crash;
    this.#crash = null;
    const crash = block.end(last);
    return crash === null ? null : { crash, ...seen };
  }
}
