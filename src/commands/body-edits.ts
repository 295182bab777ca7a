import type { BodyEdits, CapField, OptionalField } from '../endpoints/dialect.ts';
import { optionalPaths, refusedPaths } from '../endpoints/refusal.ts';

/** Fields that make an output as long as requested. */
export const LENGTH_FIELDS: readonly OptionalField[] = ['ignore_eos', 'min_tokens'];
const USAGE_FIELDS: readonly string[] = ['stream_options', 'include_usage'];
const CAP_FIELDS: readonly string[] = ['max_tokens', 'max_completion_tokens'] satisfies CapField[];

/** How the bodies of a connection are edited: by what the user leaves out, and by what the server turns out to refuse. */
export class LearntEdits implements BodyEdits {
  readonly #omitted: Set<string>;
  readonly #refused = new Set<string>();
  #capField: CapField = 'max_tokens';

  /** `omit` is what the user leaves out. */
  constructor(omit: readonly string[] = []) {
    this.#omitted = new Set(omit);
  }

  get omitted(): ReadonlySet<string> {
    return this.#omitted;
  }

  get capField(): CapField {
    return this.#capField;
  }

  /** What the server refused, by name and in the order in which that was found out. */
  get refused(): readonly string[] {
    return [...this.#refused];
  }

  /** As they are now. */
  snapshot(): BodyEdits {
    return { omitted: new Set(this.#omitted), capField: this.#capField };
  }

  /** Takes over what another process has found out. */
  adopt(omitted: readonly string[], capField: CapField): void {
    for (const path of omitted) this.#omitted.add(path);
    this.#capField = capField;
  }

  /**
   * Leaves out from here on what a refusal of the body `sent` names, all at once, but for what the user `gave`; a refused
   * `max_tokens` is sent as `max_completion_tokens`. Where a 400 or 422 names nothing, all of the `optional` are left out.
   * Whether the next body is another.
   */
  learn(
    refusal: { readonly status: number; readonly body: string },
    sent: Readonly<Record<string, unknown>>,
    optional: ReadonlySet<OptionalField>,
    gave: Readonly<Record<string, unknown>>,
  ): boolean {
    const { status, body } = refusal;
    const paths = optionalPaths(sent);
    const named = refusedPaths(status, body, paths);
    const wordless = named.length === 0 && (status === 400 || status === 422);
    const out = (
      wordless
        ? paths.filter((path) => [...optional].some((field) => field === nameOf(path)))
        : named.filter((path) => !CAP_FIELDS.includes(path))
    ).filter((path) => !(path.split('.', 1)[0]! in gave));
    for (const path of out) {
      this.#omitted.add(path);
      this.#refused.add(nameOf(path));
    }
    if (out.length > 0) return true;
    if (!named.includes('max_tokens')) return false;
    this.#capField = 'max_completion_tokens';
    this.#refused.add('max_tokens');
    return true;
  }
}

/** As the documentation of servers has it: what lies in `stream_options` has a name of its own. */
function nameOf(path: string): string {
  return path.replace(/^stream_options\./, '');
}

/** What a run goes without because the server refused it, a sentence for each consequence. */
export function refusalWarnings(refused: readonly string[]): string[] {
  const effects: readonly (readonly [concerns: (field: string) => boolean, effect: string])[] = [
    [
      (field) => LENGTH_FIELDS.some((name) => name === field),
      'output lengths may fall short of what was requested',
    ],
    [(field) => field === 'max_tokens', 'it is sent as max_completion_tokens'],
    [
      (field) => USAGE_FIELDS.includes(field),
      'no usage is requested, and where none comes the tokenizer counts lengths',
    ],
    [(field) => field === 'continuous_usage_stats', 'the tokenizer counts the tokens of each chunk'],
    [() => true, 'left out'],
  ];
  const effectOf = (field: string): string => effects.find(([concerns]) => concerns(field))![1];
  return [...new Set(refused.map(effectOf))].map((effect) => {
    const fields = refused.filter((field) => effectOf(field) === effect);
    return `the server refused ${fields.join(', ')}: ${effect}`;
  });
}

/** What is odd about the fields that the user leaves out of `whole`, the body that would be sent otherwise. */
export function omitWarnings(omit: readonly string[], whole: Readonly<Record<string, unknown>>): string[] {
  const known = ['model', ...optionalPaths(whole)];
  const unknown = omit.filter((path) => !known.includes(path));
  const cap = CAP_FIELDS.filter((field) => omit.includes(field));
  return [
    ...(unknown.length === 0 ? [] : [`--omit: no request has ${unknown.join(', ')} anyway`]),
    ...(cap.length > 0 && CAP_FIELDS.every((field) => omit.includes(field) || !(field in whole))
      ? [`--omit ${cap.join(', ')}: no output length is requested, so outputs end where the server ends them`]
      : []),
  ];
}
