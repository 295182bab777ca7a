import type { SloName } from '../../core/slo.ts';

/**
 * What a flag's value is. `int` and `float` as Python reads them, `positive` a finite float above 0, `json` a JSON
 * object in one word, `slo` a `metric:milliseconds` pair, `switch` takes no value.
 */
export type FlagType = 'int' | 'float' | 'positive' | 'str' | 'json' | 'slo' | 'switch';

/**
 * How a flag of sglang.bench_serving stands here. `same`: does the same. `better`: does the same, and more or more
 * truly. `noted`: accepted, has no effect, and a note says so. `refused`: an error that gives the reason. `own`: a flag
 * of ours, which sglang lacks.
 */
export type Standing = 'same' | 'better' | 'noted' | 'refused' | 'own';

/** Headings of the help under which flags with an effect stand. */
export const FLAG_TOPICS = ['Target', 'Prompts', 'Load', 'Request', 'Output'] as const;

/** One flag of `bench serving`, as sglang.bench_serving declares it. */
export interface ServingFlag {
  /** Without the dashes. */
  readonly name: string;
  readonly type: FlagType;
  /** sglang's own default, the newer one where releases differ; null for none. */
  readonly default: string | number | boolean | readonly string[] | null;
  /** All values that sglang knows, those refused here included. */
  readonly choices?: readonly string[];
  /** The choices that bench takes, and why not the others: `{}` stands for the refused value. */
  readonly accepts?: { readonly values: readonly string[]; readonly otherwise: string };
  /** The flag takes several words: at least one, or any number. */
  readonly nargs?: '+' | '*';
  /** Each time it is given adds a value; without this the last one wins. */
  readonly repeats?: true;
  readonly metavar?: string;
  readonly standing: Standing;
  readonly topic?: (typeof FLAG_TOPICS)[number];
  /** What it does here, or why it does nothing or is refused. */
  readonly about: string;
  /** Of a flag that stands as the same: where it is narrower than sglang's nevertheless. */
  readonly narrower?: string;
  /** What to do instead of giving a refused flag. */
  readonly instead?: string;
}

type OneValue<F extends ServingFlag> = F extends {
  readonly accepts: { readonly values: readonly (infer Accepted)[] };
}
  ? Accepted
  : F extends { readonly choices: readonly (infer Choice)[] }
    ? Choice
    : F['type'] extends 'int' | 'float' | 'positive'
      ? number
      : F['type'] extends 'switch'
        ? boolean
        : F['type'] extends 'slo'
          ? readonly [SloName, number]
          : string;

type WholeValue<F extends ServingFlag> = F extends { readonly nargs: string } | { readonly repeats: true }
  ? readonly OneValue<F>[]
  : OneValue<F>;

/** Type of a flag's value once defaults are filled in and choices checked: null only where the default is. */
export type FlagValue<F extends ServingFlag> = F['default'] extends null
  ? WholeValue<F> | null
  : WholeValue<F>;
