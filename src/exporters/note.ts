/** One thing to know about a run, beside its table. */
export interface Note {
  /** One or two words; stands before the text. */
  readonly topic: string;
  readonly text: string;
  /** Something that a reader must not miss. */
  readonly loud: boolean;
}
