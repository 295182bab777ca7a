import { isDeepStrictEqual } from 'node:util';
import { usageError } from '../core/errors.ts';
import { MASK, withoutSecrets } from '../core/secrets.ts';
import type { RunSpec } from '../core/spec.ts';
import { parseExtraBody } from './arguments.ts';

type Body = RunSpec['extraBody'];

/**
 * What a resumed run merges over its request bodies: what the earlier one did. Secrets in it were not kept, so a body
 * that had some must be `given` again. Exit 2 where it is not, differs in anything else, or is given for nothing.
 */
export function resumedBody(earlier: Body, given: string | undefined): Body {
  const masked = JSON.stringify(earlier).includes(MASK);
  if (!masked && given !== undefined)
    throw usageError(
      '--extra-body: not beside --resume, which goes on with what the run was asked',
      'leave it out, or start a new run',
    );
  if (!masked) return earlier;
  const asked = `the run was asked with ${JSON.stringify(earlier)}, whose secrets were not kept`;
  if (given === undefined)
    throw usageError(`--resume: ${asked}`, 'give that body again: --extra-body JSON, the secrets in it');
  const body = parseExtraBody(given);
  if (!isDeepStrictEqual(withoutSecrets(body), earlier))
    throw usageError(`--extra-body: not that of the earlier run: ${asked}`, 'give the same body again');
  return body;
}
