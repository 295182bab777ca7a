import { MASK, querySecrets, secretTexts } from '../core/secrets.ts';
import type { Target } from '../endpoints/wire.ts';

/** Shorter header values are words that an error may well hold by chance. */
const LEAST_SECRET = 6;

/** Credentials that were sent, which a server may repeat in what it answers. */
export class KnownSecrets {
  /** Longest first, so that none is left over inside of another. */
  readonly #secrets: readonly string[];

  constructor(
    headers: readonly (readonly [string, string])[],
    extraBody: Readonly<Record<string, unknown>>,
    targets: readonly Pick<Target, 'query'>[],
  ) {
    this.#secrets = headers
      .flatMap(([, value]) => [value, value.replace(/^\S+\s+/, '')])
      .concat(secretTexts(extraBody))
      .concat(targets.flatMap(({ query }) => querySecrets(query)))
      .filter((value) => value.length >= LEAST_SECRET)
      .sort((a, b) => b.length - a.length);
  }

  /** The text without any of them; null stays null. */
  remove(text: string): string;
  remove(text: string | null): string | null;
  remove(text: string | null): string | null {
    return text === null
      ? null
      : this.#secrets.reduce((clean, secret) => clean.replaceAll(secret, MASK), text);
  }
}
