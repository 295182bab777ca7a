import type { PromptSpec } from './spec.ts';

/** What was found in the file of a dataset. */
export interface RowFacts {
  /** Rows that prompts are taken from. */
  readonly count: number;
  /** Mean input length of these rows; null where nobody here can count it. */
  readonly isl: number | null;
  readonly osl: number;
  /** Rows that were looked at and left out, by the reason. */
  readonly leftOut: Readonly<Record<string, number>>;
}

/** How the prompts of the run were made and how far their lengths can be trusted. */
export interface PromptFacts extends PromptSpec {
  readonly tokenizerName: string;
  /** sha256 of tokenizer.json. */
  readonly tokenizerHash: string;
  /**
   * `words`: exact by construction; `adjust`: encoded and corrected; `sglang`: nominal, as sglang makes them; `given`:
   * texts of a file, unchanged.
   */
  readonly method: 'words' | 'adjust' | 'sglang' | 'given';
  /** Words that encode to one token of their own; 0 with `adjust`. */
  readonly wordCount: number;
  readonly template: {
    readonly source: string;
    readonly hash: string | null;
    /** Tokens that the template adds; null when unknown. */
    readonly tokens: number | null;
    readonly by: 'computed' | 'calibrated' | 'unknown';
  };
  /** Prompts encoded and found exact before the run. */
  readonly checked: number;
  /** Only of a dataset that is a file. */
  readonly rows?: RowFacts;
  /**
   * Share of the measured prompts' tokens that earlier prompts of the run began with, by their construction: what a
   * prefix cache that was empty and forgets nothing can serve. Only where prompts share text on purpose.
   */
  readonly sharedRatio?: number;
  /** The local tokenizer is not the model's: lengths are estimates until the server's count proves them. */
  readonly estimates: boolean;
}
