import type { ForeignPoint, Lookalike } from '../core/foreign.ts';
import type { Kind } from '../core/kind.ts';
import type { JsonObject } from './json-objects.ts';

/** A tool whose results are read; its `name` is the tool's own. */
export interface ImportKind extends Kind {
  /** Who writes the same form, so that none of its results can be told from those of this tool. */
  readonly lookalike?: Lookalike;
  /** What the tool means by each field of a point. */
  readonly definitions: Readonly<Record<string, string>>;
  /** Whether this tool wrote the object. */
  owns(result: JsonObject): boolean;
  /** The results in an object that it owns; left out where the object is one. */
  split?(result: JsonObject): readonly JsonObject[];
  /** The numbers of a result; nothing is computed that the file does not hold. */
  point(result: JsonObject): ForeignPoint;
  /** What a reader of these results has to know. */
  notes(results: readonly JsonObject[]): string[];
}
