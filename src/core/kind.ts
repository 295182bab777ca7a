/**
 * One entry of a registry: a room's `index.ts` is a plain table of these, and `--help`, validation and
 * "did you mean" are made from it.
 */
export interface Kind {
  /** The word the user types. */
  readonly name: string;
  /** One line for `--help`. */
  readonly about: string;
}
