import { usageError } from './errors.ts';
import type { TraceRow } from './trace.ts';

/** Tokens of a block where rows say nothing else, as in the traces of Mooncake. */
const DEFAULT_TOKENS = 512;
/** Texts of fewer tokens would be alike by chance. */
export const LEAST_BLOCK_TOKENS = 8;
/** Sizes that are looked for: powers of two up to this. */
const MOST_TOKENS = 1 << 16;

type BlockRow = Pick<TraceRow, 'line' | 'isl' | 'hashIds'>;

/** A row whose ids do not fit the size of a block. */
interface Misfit {
  readonly line: number;
  readonly isl: number;
  readonly ids: number;
}

/** The size of a trace's blocks. */
export interface TraceBlocks {
  readonly tokens: number;
  /** Why it may be another size; null where nothing speaks for that. */
  readonly warning: string | null;
}

/**
 * Finds out how many tokens a block of a trace has: each row has as many ids as blocks, the last block counted or not
 * where the input only begins it. `given` is what the user says.
 */
export class BlockSize {
  readonly #file: string;
  readonly #given: number | undefined;
  /** Sizes that fit all rows so far. */
  #fitting: number[] = [];
  #rows = 0;
  #short = 0;
  #firstShort: Misfit | null = null;
  #firstLong: Misfit | null = null;

  constructor(file: string, given?: number) {
    this.#file = file;
    this.#given = given;
    for (let tokens = LEAST_BLOCK_TOKENS; tokens <= MOST_TOKENS; tokens *= 2) this.#fitting.push(tokens);
  }

  add({ line, isl, hashIds }: BlockRow): void {
    const ids = hashIds.length;
    if (ids === 0) return;
    this.#rows++;
    const tokens = this.#given ?? DEFAULT_TOKENS;
    if (ids > Math.ceil(isl / tokens)) this.#firstLong ??= { line, isl, ids };
    // Who gives the size knows that blocks may have no id.
    if (this.#given === undefined && ids < Math.floor(isl / tokens)) {
      this.#short++;
      this.#firstShort ??= { line, isl, ids };
    }
    this.#fitting = this.#fitting.filter(
      (size) => ids === Math.ceil(isl / size) || ids === Math.floor(isl / size),
    );
  }

  /** The size by all rows. Exit 2 where a row has more ids than blocks and no one size explains it. */
  found(): TraceBlocks {
    const tokens = this.#given ?? DEFAULT_TOKENS;
    const [size, ...others] = this.#fitting;
    const misfit = this.#firstLong ?? this.#firstShort;
    if (misfit === null) return { tokens, warning: null };
    const row = `line ${misfit.line} has ${misfit.ids} hash_ids for ${misfit.isl} tokens`;
    if (this.#given === undefined && size !== undefined && others.length === 0)
      return {
        tokens: size,
        warning: `the rows of ${this.#file} have as many hash_ids as blocks of ${size} tokens, and are read so (${row}): --trace-block sets another size`,
      };
    const known =
      this.#fitting.length === 0 ? '' : `; blocks of ${this.#fitting.join(' or ')} tokens would fit all rows`;
    if (this.#firstLong !== null)
      throw usageError(
        `${this.#file}, line ${misfit.line}: ${misfit.ids} hash_ids for an input_length of ${misfit.isl}, which has ${Math.ceil(misfit.isl / tokens)} blocks of ${tokens} tokens${known}`,
        'give the size of its blocks with --trace-block TOKENS, or correct the row',
      );
    return {
      tokens,
      warning: `${this.#short} of ${this.#rows} rows of ${this.#file} have fewer hash_ids than blocks of ${tokens} tokens (${row})${known}: the blocks behind the last id are taken as shared with no other row; --trace-block sets another size`,
    };
  }
}
