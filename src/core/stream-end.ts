import { finishOf } from './finish-reason.ts';
import type { Failure } from './record.ts';

/** What is known of a stream once its response has ended without an error. */
export interface StreamEnd {
  /** It came to its own end mark. */
  readonly done: boolean;
  readonly finishReason: string | null;
  /** By the server's count; −1 where it has none. */
  readonly completionTokens: number;
  /** Chunks in which output was found. */
  readonly chunks: number;
  /** Tokens that the output has to have; null where it may be shorter. */
  readonly leastTokens: number | null;
  /** The start of an event in which no output was found; null without one. */
  readonly unread: string | null;
  /** The start of the first event of no known kind, which may be an error. */
  readonly unknownEvent: string | null;
}

/** Why such a response is a failure all the same; null for a good one. */
export function wrongEnd(end: StreamEnd): Failure | null {
  const { done, finishReason, completionTokens, chunks, unknownEvent } = end;
  if (finishReason !== null) {
    const failure = wrongReason(finishReason, end);
    if (failure !== null) return failure;
  } else if (unknownEvent !== null) return { class: 'error-event', detail: unknownEvent };
  const proper = done || finishReason !== null;
  const unread = end.unread === null ? '' : `; no output was found in ${end.unread}`;
  if (!proper)
    return chunks === 0
      ? { class: 'empty', detail: `the response ended without any output${unread}` }
      : {
          class: 'truncated',
          detail: `the response ended after ${chunks} chunks without [DONE] or a finish reason`,
        };
  if (completionTokens > 0 || (completionTokens < 0 && chunks > 0)) return null;
  return {
    class: 'empty',
    detail:
      chunks === 0
        ? `proper end without a single output token${unread}`
        : `text came in ${chunks} chunks, but the server's usage says 0 output tokens`,
  };
}

/** A server that gives up may say so in the finish reason alone. */
function wrongReason(reason: string, end: StreamEnd): Failure | null {
  const { completionTokens, chunks, leastTokens } = end;
  const finish = finishOf(reason);
  const words = `finish reason "${reason}" after ${completionTokens < 0 ? `${chunks} chunks` : `${completionTokens} output tokens`}`;
  if (finish === 'aborted' || finish === 'filtered') return { class: finish, detail: words };
  const isShort = leastTokens !== null && completionTokens >= 0 && completionTokens < leastTokens;
  return finish === 'unknown' && isShort
    ? { class: 'aborted', detail: `unknown ${words} of ${leastTokens} requested` }
    : null;
}
