import type { ServerResponse } from 'node:http';
import { internalError } from './api-error.ts';
import { ChunkMaker, type Usage, usageObject } from './chunks.ts';
import { type Fault, type FaultKind, faultTokens } from './faults.ts';
import type { GenerationRequest } from './generation-request.ts';
import type { MockOptions } from './options.ts';
import { send } from './reply.ts';
import type { SseWriter } from './sse-writer.ts';
import type { OutputText } from './text.ts';

/** All that an answer is made of. */
export interface AnswerPlan {
  readonly request: GenerationRequest;
  readonly response: ServerResponse;
  readonly options: MockOptions;
  readonly fault: Fault | null;
  readonly id: string;
  readonly createdS: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly finishReason: 'stop' | 'length';
  readonly output: OutputText;
  /** Where the text starts in `output`. */
  readonly textStart: number;
}

/** Takes output as it is made and writes it to the client. */
export interface Answer {
  /** Called once, at arrival. */
  begin(): void;
  /** More tokens were made. Returns false when the answer takes no more. */
  emit(tokens: number, last: boolean): boolean;
  /** Writes what `emit` has collected. */
  flush(): void;
}

/** A client that finds output and a reset in the same read may take it for an orderly end. */
const RESET_AFTER_MS = 200;

const JSON_TYPE = 'application/json';

const MID_FAULTS: ReadonlySet<FaultKind> = new Set([
  'reset-mid',
  'cut',
  'truncate',
  'error-event',
  'malformed',
  'stall',
]);

function usageAt(plan: AnswerPlan, completionTokens: number): Usage {
  return { promptTokens: plan.request.promptTokens, completionTokens, cachedTokens: plan.cachedTokens };
}

/** An answer as a stream of events. */
export class StreamAnswer implements Answer {
  readonly #plan: AnswerPlan;
  readonly #writer: SseWriter;
  readonly #chunks: ChunkMaker;
  readonly #strikesAt: number;
  #made = 0;
  #over = false;

  constructor(plan: AnswerPlan, writer: SseWriter) {
    const { fault, request, options } = plan;
    this.#plan = plan;
    this.#writer = writer;
    this.#chunks = new ChunkMaker(request.api, plan.id, plan.createdS, options.model);
    const strikes = fault !== null && MID_FAULTS.has(fault.kind);
    this.#strikesAt = strikes ? faultTokens(fault, plan.outputTokens) : Number.POSITIVE_INFINITY;
  }

  begin(): void {
    const { fault, options, request } = this.#plan;
    if (fault?.kind === 'empty') {
      this.#over = true;
      this.#writer.event('[DONE]');
      this.#writer.end();
    } else if (options.roleChunk && request.api === 'chat') {
      this.#writer.event(this.#chunks.role(this.#usage()));
      this.#writer.flush();
    }
  }

  emit(tokens: number, last: boolean): boolean {
    if (this.#over) return false;
    const from = this.#made;
    const to = from + tokens;
    if ((from < this.#strikesAt && this.#strikesAt <= to) || (this.#strikesAt === 0 && from === 0)) {
      this.#addText(this.#strikesAt);
      this.#strike();
      if (this.#over) return false;
    }
    this.#addText(to);
    if (last) this.#finish();
    return !last;
  }

  flush(): void {
    if (!this.#over) this.#writer.flush();
  }

  #addText(to: number): void {
    const from = this.#made;
    if (to <= from) return;
    this.#made = to;
    const { output, textStart, options, fault } = this.#plan;
    const middle = Math.min(Math.max(options.reasoningTokens, from), to);
    const silent = fault?.kind === 'no-text';
    const reasoning = silent ? '' : output.escaped(textStart, from, middle);
    const content = silent ? '' : output.escaped(textStart, middle, to);
    this.#writer.event(this.#chunks.text(reasoning, content, this.#usage()), to - from);
  }

  #finish(): void {
    const { request, options, finishReason } = this.#plan;
    this.#over = true;
    this.#writer.event(this.#chunks.finish(finishReason, this.#usage()));
    if (request.includeUsage && options.usage)
      this.#writer.event(this.#chunks.usage(usageAt(this.#plan, this.#made)));
    if (options.done) this.#writer.event('[DONE]');
    this.#writer.end();
  }

  #strike(): void {
    const { fault, response } = this.#plan;
    if (fault?.kind === 'malformed') {
      this.#writer.event('{"id":"broken","choices":[{"index":0,"delta":{"content":');
      return;
    }
    this.#over = true;
    if (fault?.kind === 'error-event') {
      this.#writer.event(internalError().body());
      this.#writer.event('[DONE]');
    }
    if (fault?.kind === 'error-event' || fault?.kind === 'truncate') this.#writer.end();
    else this.#writer.drain();
    if (fault?.kind === 'cut') response.socket?.destroySoon();
    // A response that has lost its client has no socket any more, so it is looked up now.
    const { socket } = response;
    if (fault?.kind === 'reset-mid') setTimeout(() => socket?.resetAndDestroy(), RESET_AFTER_MS).unref();
  }

  #usage(): Usage | null {
    const { request, options } = this.#plan;
    return request.continuousUsage && options.usage ? usageAt(this.#plan, this.#made) : null;
  }
}

/** An answer as one JSON body. Faults strike when the output would be complete. */
export class WholeAnswer implements Answer {
  readonly #plan: AnswerPlan;

  constructor(plan: AnswerPlan) {
    this.#plan = plan;
  }

  begin(): void {
    if (this.#plan.fault?.kind === 'empty') send(this.#plan.response, 200, JSON_TYPE, '');
  }

  emit(_tokens: number, last: boolean): boolean {
    const { response, fault } = this.#plan;
    if (response.writableEnded) return false;
    if (last) this.#finish(fault?.kind ?? null);
    return !last;
  }

  flush(): void {
    // All of it is written by the last `emit`.
  }

  #finish(kind: FaultKind | null): void {
    const { response } = this.#plan;
    const body = this.#body(kind === 'no-text');
    const half = body.slice(0, body.length / 2);
    if (kind === 'stall') return;
    if (kind === 'reset-mid') response.socket?.resetAndDestroy();
    else if (kind === 'error-event') send(response, 500, JSON_TYPE, internalError().body());
    else if (kind === 'malformed' || kind === 'truncate') send(response, 200, JSON_TYPE, half);
    else if (kind === 'cut') {
      response.writeHead(200, {
        'content-type': JSON_TYPE,
        'content-length': Buffer.byteLength(body),
      });
      response.write(half);
      response.socket?.destroySoon();
    } else send(response, 200, JSON_TYPE, body);
  }

  #body(silent: boolean): string {
    const { request, options, output, textStart, outputTokens, finishReason, id, createdS } = this.#plan;
    const middle = Math.min(options.reasoningTokens, outputTokens);
    const text = (from: number, to: number): string => (silent ? '' : output.plain(textStart, from, to));
    const message = {
      role: 'assistant',
      content: text(middle, outputTokens),
      ...(middle > 0 ? { reasoning_content: text(0, middle) } : {}),
    };
    const choice = request.api === 'chat' ? { message } : { text: text(0, outputTokens), logprobs: null };
    return JSON.stringify({
      id,
      object: request.api === 'chat' ? 'chat.completion' : 'text_completion',
      created: createdS,
      model: options.model,
      choices: [{ index: 0, ...choice, finish_reason: finishReason }],
      ...(options.usage ? { usage: usageObject(usageAt(this.#plan, outputTokens)) } : {}),
    });
  }
}
