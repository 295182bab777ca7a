/** Characters of a block, the unit that prompts are remembered in. */
export const BLOCK_CHARS = 64;
/** Blocks that are remembered (16 million characters); the longest unused are forgotten first. */
const MOST_BLOCKS = 262_144;

/** Remembers the prefixes of prompts, as an engine with a prefix cache does. */
export class PrefixCache {
  readonly #mostBlocks: number;
  /** A Set keeps the order of insertion, which is the order of last use here. */
  readonly #blocks = new Set<number>();

  constructor(mostBlocks: number = MOST_BLOCKS) {
    this.#mostBlocks = mostBlocks;
  }

  /** Characters at the start of `text` that were seen before, in whole blocks. Remembers all of its blocks. */
  visit(text: string): number {
    let known = 0;
    let unbroken = true;
    // Two 32-bit FNV-1a chains with different offsets make a 53-bit key; a block's key covers all before it.
    // The offsets are made signed so that the loop runs on small integers.
    let low = 0x811c9dc5 | 0;
    let high = 0x9747b28c | 0;
    for (let end = BLOCK_CHARS; end <= text.length; end += BLOCK_CHARS) {
      for (let i = end - BLOCK_CHARS; i < end; i++) {
        const code = text.charCodeAt(i);
        low = Math.imul(low ^ code, 0x01000193);
        high = Math.imul(high ^ code, 0x01000197);
      }
      const key = (high >>> 11) * 4_294_967_296 + (low >>> 0);
      const had = this.#blocks.delete(key);
      if (unbroken && had) known = end;
      else unbroken = false;
      this.#blocks.add(key);
    }
    for (const key of this.#blocks) {
      if (this.#blocks.size <= this.#mostBlocks) break;
      this.#blocks.delete(key);
    }
    return known;
  }
}
