import type { RequestRecord } from '../core/record.ts';
import type { FinishedRequest } from '../core/record-builder.ts';
import type { RunSpec } from '../core/spec.ts';
import { certificateTrouble } from '../endpoints/certificate.ts';
import type { Control, ControlAnswer } from '../endpoints/control.ts';
import type { BodyEdits, Dialect } from '../endpoints/dialect.ts';
import { answerText, isPage, isRedirect, type ResponseHead } from '../endpoints/failures.ts';
import { speaksOtherScheme } from '../endpoints/other-scheme.ts';
import { optionalPaths, refusedPaths } from '../endpoints/refusal.ts';
import { sideUrl, streamPath } from '../endpoints/target.ts';
import type { Target } from '../endpoints/wire.ts';

/** What to do about a target that does not serve, in the flags of the command. */
export interface TargetHints {
  readonly noServer: string;
  readonly unlistedModel: string;
  /** Where a key is given. */
  readonly key: string;
  /** Where an address is given. */
  readonly url: string;
  /** How a certificate authority is trusted. */
  readonly authority: string;
  /** How another route is requested, such as `example`. */
  route(example: string): string;
  /** How a field is left out of the body. */
  omit(field: string): string;
  /** Where fields of the body are given. */
  readonly body: string;
}

export const TARGET_HINTS: TargetHints = {
  noServer: 'start it, or name it with --url',
  unlistedModel: 'name a listed one with --model',
  key: '--api-key or OPENAI_API_KEY',
  url: '--url',
  authority: 'trust the authority that signed it with --cacert FILE',
  route: (example) => `give the whole route with --url (${example}), or its path with --path`,
  omit: (field) => `--omit ${field}`,
  body: '--extra-body',
};

const STACK_HINT = 'the stack may still be loading, or its workers are gone: see what it logs';

/** What a hint is made for: who was called, and the credentials that went there. */
export interface Called {
  readonly hints: TargetHints;
  /** The option or variable that the key is from; null where none was sent. */
  readonly keyFrom: string | null;
}

/** An answer that is not what was requested. */
export interface OddAnswer {
  readonly head: ResponseHead;
  readonly body: string;
}

/** What to do about an answer to any request; null where that depends on the request. */
function answerHint({ head, body }: OddAnswer, { hints, keyFrom }: Called): string | null {
  const { status } = head;
  if (status === 401 || status === 403)
    return keyFrom === null
      ? `no key was sent: give one with ${hints.key}`
      : `the key of ${keyFrom} was sent and refused: see whether it is the one for this server and model`;
  if (isRedirect(status))
    return `bench follows no redirect: give the address where it leads with ${hints.url}`;
  if (status === 200 && isPage(head, body))
    return `a web page answers, as a sign-in or a portal does: see ${hints.url}, and whether a key is needed`;
  if (status === 429) return 'it limits what may be sent: wait, or use another key';
  if (status === 502 || status === 504)
    return 'a gateway answers and the server behind it does not: it may still be loading, or be gone: see what it logs';
  if (status === 503) return STACK_HINT;
  return null;
}

/** The result of a request outside of any measurement. */
export interface Asked {
  readonly finished: FinishedRequest;
  /** Its output. */
  readonly text: string;
  /** What of that was not seen; null where all is well. */
  readonly warning: string | null;
  /** The answer where it was no stream. */
  readonly answer: OddAnswer | null;
}

/** What a canary was sent with. */
export interface CanaryCall {
  readonly called: Called;
  readonly target: Target;
  readonly dialect: Pick<Dialect, 'path'>;
  readonly edits: BodyEdits;
  readonly extraBody: RunSpec['extraBody'];
  /** The server gave a list in which the model is not. */
  readonly unlisted: boolean;
}

/** What went wrong with a canary, with the route that it went to, and what to do about it. */
export function failedCanary({ finished, answer }: Asked, call: CanaryCall): { text: string; hint: string } {
  const { record } = finished;
  const route = streamPath({ ...call.target, query: '' }, call.dialect.path);
  return {
    text: `POST ${route}: ${record.outcome}: ${record.detail}`,
    hint: canaryHint(record, answer, call),
  };
}

function canaryHint(
  { outcome, status }: RequestRecord,
  answer: OddAnswer | null,
  { called, target, edits, extraBody, unlisted }: CanaryCall,
): string {
  const { hints } = called;
  const { route } = target;
  const byAnswer = answer === null ? null : answerHint(answer, called);
  if (byAnswer !== null) return byAnswer;
  const paths = [...optionalPaths(extraBody), 'max_completion_tokens'];
  const refused = answer === null ? [] : refusedPaths(answer.head.status, answer.body, paths);
  const given = refused.filter((path) => path.split('.', 1)[0]! in extraBody);
  if (given.length > 0) return `the server refuses ${given.join(', ')}: leave it out of ${hints.body}`;
  if (refused.length > 0 && edits.capField === 'max_completion_tokens')
    return `it takes neither max_tokens nor max_completion_tokens, without which no output length can be requested: ${hints.omit('max_tokens')} leaves it out all the same`;
  const missing = status === 404 || status === 405;
  const byRoute = missing ? hints.route(exampleRoute(target)) : null;
  if (unlisted)
    return byRoute === null || /model/i.test(answer?.body ?? '')
      ? hints.unlistedModel
      : `${hints.unlistedModel}; where it is the route that is missing, ${byRoute}`;
  if (outcome === 'tls') return hints.authority;
  if (route !== null && /(?<!\/chat)\/completions$/.test(route))
    return 'bench requests chat completions: give the route that ends in /chat/completions';
  if (byRoute !== null) return `the server has no such route or model: ${byRoute}`;
  if (status === 400 || status === 422)
    return `its message says what it does not take: ${hints.omit('FIELD')} leaves a field out of the body`;
  if (answer !== null && status === 200)
    return `that is no stream of chat completions: see ${hints.url} and its path`;
  return status === null || status === 200 ? STACK_HINT : 'see what it logs';
}

/** What a route may be instead: below the path of the URL, where it has one. */
function exampleRoute({ basePath, route, ...target }: Target): string {
  const above = route === null && basePath ? basePath : '/api/v3';
  return sideUrl({ ...target, basePath: above, route: null }, '/chat/completions');
}

/** An answer to a side call in words, and what to do about it; the hint is null where none fits. */
export function sideAnswer(answer: ControlAnswer, called: Called): { text: string; hint: string | null } {
  const { status, body, error, contentType = '', location = null } = answer;
  if (status === null) return { text: error ?? 'no answer', hint: null };
  const head = { status, contentType, location };
  return { text: answerText(head, body), hint: answerHint({ head, body }, called) };
}

/** Why no server could be spoken to, and what to do. `answer` is that of a call to `control`; `lasting` where waiting does not help. */
export async function noAnswer(
  { target }: Pick<Control, 'target'>,
  answer: ControlAnswer,
  { hints }: Called,
): Promise<{ message: string; hint: string; lasting: boolean }> {
  const trouble = certificateTrouble(answer.code);
  if (trouble !== null)
    return {
      message: `the certificate of ${target.url} is not trusted: ${answer.error}`,
      hint: {
        untrusted: hints.authority,
        'other-host': `name the host that the certificate is for with ${hints.url}`,
        'out-of-date': 'renew it, or see the clock of this host',
      }[trouble],
      lasting: true,
    };
  if (await speaksOtherScheme(target)) {
    const [has, speaks] = target.tls ? ['https', 'http'] : ['http', 'https'];
    return {
      message: `${target.url} speaks ${speaks}, not ${has}`,
      hint: `write ${speaks}://${target.authority} with ${hints.url}`,
      lasting: true,
    };
  }
  return {
    message: `no server answers at ${target.url}: ${answer.error}`,
    hint: hints.noServer,
    lasting: false,
  };
}
