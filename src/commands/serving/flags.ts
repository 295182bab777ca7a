import type { FlagValue, ServingFlag } from './flag.ts';
import { DATASET_FLAGS } from './flags-dataset.ts';
import { REQUEST_FLAGS } from './flags-request.ts';
import { RUN_FLAGS } from './flags-run.ts';
import { UNUSED_FLAGS } from './flags-unused.ts';

/** Flags whose value is read. */
export const TAKEN_FLAGS = [...REQUEST_FLAGS, ...DATASET_FLAGS, ...RUN_FLAGS] as const;

/** Values of the taken flags by name, defaults filled in. */
export type TakenValues = { readonly [F in (typeof TAKEN_FLAGS)[number] as F['name']]: FlagValue<F> };

/** Every flag of sglang.bench_serving 0.5.5 and 0.5.23, and ours. */
export const FLAGS: readonly ServingFlag[] = [...TAKEN_FLAGS, ...UNUSED_FLAGS];

const LABELS = ['same', 'in part', 'better', 'ours', 'no effect', 'refused'] as const;

/** How a flag stands, in a word or two for readers. */
export function standingLabel(flag: ServingFlag): (typeof LABELS)[number] {
  if (flag.standing === 'same') return flag.narrower === undefined ? 'same' : 'in part';
  if (flag.standing === 'own') return 'ours';
  return flag.standing === 'noted' ? 'no effect' : flag.standing;
}

/** Names of all flags that are not refused, without dashes, for shell completion. */
export function servingFlagNames(): string[] {
  return FLAGS.filter(({ standing }) => standing !== 'refused').map(({ name }) => name);
}

/**
 * All flags as a Markdown table, by standing; flags that share what is said share a row. Of those that stand as the
 * same only the differences are said. No newline at its end.
 */
export function bareFlagTable(): string {
  const rows = LABELS.flatMap((label) => {
    const flags = FLAGS.filter((flag) => standingLabel(flag) === label);
    return [...new Set(flags.map(said))].map((text) => {
      const names = flags.filter((flag) => said(flag) === text).map(({ name }) => name);
      return `| ${shorten(names).join(', ')} | ${label} | ${text} |`;
    });
  });
  return ['| flag | here | what it does, or why not |', '|---|---|---|', ...rows].join('\n');
}

function said(flag: ServingFlag): string {
  if (flag.standing !== 'same') return flag.about;
  return flag.narrower === undefined ? 'as in sglang.bench_serving' : `${flag.about}; ${flag.narrower}`;
}

/** `--image-*` for three flags or more, where they are all that begin so. */
function shorten(names: readonly string[]): string[] {
  const short = names.map((name) => {
    const family = `${name.split('-', 1)[0]}-`;
    const whole = FLAGS.filter((flag) => flag.name.startsWith(family));
    const all = whole.length > 2 && whole.every((flag) => names.includes(flag.name));
    return `\`--${all && name.startsWith(family) ? `${family}*` : name}\``;
  });
  return [...new Set(short)];
}
