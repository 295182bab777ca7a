import { errorText } from '../core/errors.ts';
import { type FinishedRequest, RecordBuilder, type RequestPlan } from '../core/record-builder.ts';
import { type ChunkEvents, ChunkReader, type SharedShape } from './chunk-reader.ts';
import type { ChunkTemplate } from './chunk-template.ts';
import { type Delta, emptyDelta } from './dialect.ts';
import { isHeartbeat, kindOfType } from './event-kind.ts';
import type { ExchangeOptions } from './exchange-options.ts';
import { brokenDetail, httpFailure, isPageType, notStreamed, type ResponseHead } from './failures.ts';
import type { Arrival, ResponseSink, WireFailure } from './wire.ts';

/** A response ends with its stream's end mark; one that stays open for longer than this has its connection closed, */
export const DONE_GRACE_MS = 1_000;
/** and holds its slot no longer than this. A slot that did not wait at all would find no connection idle. */
const HELD_OPEN_MS = 50;

/** A failed response's text is kept up to here, enough for its first line. */
const ERROR_BODY_BYTES = 4_096;

/** What the streams of a client have shown of its server. */
export interface ServerHabits extends SharedShape {
  /** It holds responses open after the end mark of their streams. */
  holdsOpen: boolean;
}

/** One request under way: bytes of the answer in, a record out. */
export class Exchange implements ResponseSink, ChunkEvents {
  readonly plan: RequestPlan;
  cancel: (reason: WireFailure) => void = () => undefined;
  /** Called once the response has ended that its record did not wait for. */
  closed: () => void = () => undefined;
  /** Sends the request once more, over a new connection. */
  resend: () => void = () => undefined;
  /** The record is made, and the server holds the response open. */
  isHeldOpen = false;
  readonly #builder: RecordBuilder;
  readonly #options: ExchangeOptions;
  readonly #resolve: (finished: FinishedRequest) => void;
  readonly #delta: Delta = emptyDelta();
  readonly #reader: ChunkReader;
  #atMs = 0;
  /** Of the events of the read that is under way, and of the one that it ends with. */
  #slackMs = 0;
  #lastSlackMs = 0;
  #lastReadAtMs = -1;
  #errorBody: Buffer[] | null = null;
  #errorBytes = 0;
  #mayStream = true;
  #head: ResponseHead = { status: 0, contentType: '', location: null };
  readonly #habits: ServerHabits;
  /** −1 before the stream's end mark. */
  #doneAtMs = -1;
  #holdTimer: NodeJS.Timeout | null = null;
  #holdCheck: NodeJS.Immediate | null = null;
  /** Some output came as deltas. */
  #hasDeltas = false;

  constructor(
    plan: RequestPlan,
    options: ExchangeOptions,
    habits: ServerHabits,
    resolve: (finished: FinishedRequest) => void,
  ) {
    this.plan = plan;
    this.#builder = new RecordBuilder(plan, options.keepText, options.stampedBy, options.naturalEnd);
    this.#options = options;
    this.#habits = habits;
    this.#resolve = resolve;
    this.#reader = new ChunkReader(options.dialect, habits, this);
  }

  sent(atMs: number): void {
    // The time of a request that is sent again counts from its first send.
    if (!this.#builder.resent) this.#builder.sentAtMs = atMs;
  }

  connected(connectMs: number): void {
    this.#builder.connectMs = connectMs;
  }

  head(status: number, headers: ReadonlyMap<string, string>, atMs: number): void {
    this.#builder.status = status;
    this.#lastReadAtMs = atMs;
    const coding = headers.get('content-encoding') ?? 'identity';
    if (coding !== 'identity')
      this.#builder.fail('malformed', `content-encoding ${coding} was not asked for`);
    const contentType = headers.get('content-type') ?? '';
    this.#head = { status, contentType, location: headers.get('location') ?? null };
    this.#mayStream = status === 200 && !contentType.startsWith('application/json');
    // Some gateways stream under the type of a page: which of both it is shows by whether events come.
    if (!this.#mayStream || isPageType(contentType)) this.#errorBody = [];
  }

  body(buffer: Buffer, start: number, end: number, arrival: Arrival, last: boolean): void {
    if (this.isHeldOpen) return;
    this.#atMs = arrival.atMs;
    this.#slackMs = arrival.slackMs;
    this.#lastSlackMs = last ? arrival.lastSlackMs : arrival.slackMs;
    this.#lastReadAtMs = arrival.atMs;
    if (this.#mayStream) this.#reader.feed(buffer, start, end);
    if (this.#errorBody === null) return;
    const room = ERROR_BODY_BYTES - this.#errorBytes;
    if (room <= 0) return;
    const copy = Buffer.from(buffer.subarray(start, Math.min(end, start + room)));
    this.#errorBody.push(copy);
    this.#errorBytes += copy.length;
  }

  end(atMs: number): void {
    if (this.isHeldOpen) {
      // What ends soon is no habit: its connection is worth the wait.
      if (atMs - this.#doneAtMs <= HELD_OPEN_MS) this.#habits.holdsOpen = false;
      this.closed();
      return;
    }
    if (this.#errorBody === null || (this.#mayStream && this.#builder.lastEventAtMs !== null))
      this.#reader.end();
    else this.#judgeErrorBody(Buffer.concat(this.#errorBody).toString('utf8'));
    this.#finish(atMs);
  }

  /** A prompt may be repeated where no byte of its answer came (RFC 9110, 9.2.2): once, for a new connection is not reused. */
  fail(failure: WireFailure, atMs: number): void {
    const { done, finishReason, resent } = this.#builder;
    // A stream that had come to its proper end was whole; how its connection went down changes nothing.
    const whole = done || finishReason !== null;
    if (this.isHeldOpen) this.closed();
    else if (failure.reused === 'before-answer' && !resent) {
      this.#builder.resent = true;
      this.resend();
    } else {
      if (!whole) this.#builder.fail(failure.class, brokenDetail(failure, resent));
      this.#finish(whole ? this.#lastReadAtMs : atMs);
    }
  }

  checkTimeouts(now: number): void {
    if (this.#doneAtMs >= 0) {
      if (now - this.#doneAtMs > DONE_GRACE_MS)
        this.cancel({ class: 'timeout', detail: 'the connection stayed open after [DONE]' });
      return;
    }
    const { firstMs, idleMs, totalMs } = this.#options.timeouts;
    const waitedMs = now - this.#builder.sentAtMs;
    if (totalMs > 0 && waitedMs > totalMs) this.#timeout(`total: not finished within ${totalMs} ms`);
    else if (this.#builder.chunks === 0) {
      if (firstMs > 0 && waitedMs > firstMs) this.#timeout(`first: no output within ${firstMs} ms`);
    } else if (idleMs > 0 && now - this.#builder.lastEventAtMs! > idleMs) {
      this.#timeout(`idle: nothing for ${idleMs} ms after ${this.#builder.chunks} chunks`);
    }
  }

  #timeout(detail: string): void {
    this.cancel({ class: 'timeout', detail });
  }

  event(data: string, type: string | null): void {
    const builder = this.#builder;
    const { dialect, onTokens, onText, onChunk } = this.#options;
    const kind = kindOfType(type);
    const isError = kind === 'error';
    if (!isError && isHeartbeat(data)) {
      this.comment();
      return;
    }
    const delta = this.#delta;
    try {
      dialect.read(data, delta);
    } catch (error) {
      if (kind === 'other') {
        this.comment();
        return;
      }
      this.#noteEvent();
      if (isError) builder.fail('error-event', data.slice(0, 300) || `an event of type ${type} without data`);
      else
        builder.fail(
          'malformed',
          `event is no JSON chunk (${errorText(error).slice(0, 120)}): ${data.slice(0, 120)}`,
        );
      return;
    }
    // Of an event beside the completion, what may be an error is one only where the stream has no proper end.
    const isDoubtful = kind === 'other' && delta.error !== null && !delta.isCertain;
    if (!isError && (delta.other !== null || isDoubtful)) {
      this.comment();
      if (delta.other !== 'heartbeat') builder.noteUnread(data, kind === 'message' || isDoubtful);
      return;
    }
    this.#noteEvent();
    if (delta.error !== null || isError) {
      builder.fail('error-event', (delta.error ?? data).slice(0, 300));
      return;
    }
    if (delta.done) {
      this.#done();
      return;
    }
    builder.responseId ??= delta.responseId;
    if (delta.isWhole && this.#hasDeltas) delta.text = '';
    const tokens = this.#note(delta);
    const hasOutput = delta.text !== '';
    const isUnread = !hasOutput && delta.hasChoice && delta.finishReason === null;
    if (hasOutput || isUnread) onChunk?.(data, delta.text);
    if (isUnread) builder.noteUnread(data, false);
    if (!hasOutput) {
      builder.addSilentEvent();
      return;
    }
    if (!delta.isWhole) this.#hasDeltas = true;
    onTokens?.(tokens);
    onText?.(delta.text);
    builder.addChunk(this.#atMs, delta.text, delta.completionTokens, this.#stampChunk());
    this.#reader.learn(data, delta);
  }

  /** Something that keeps the connection alive and is no event of the completion. */
  comment(): void {
    this.#options.meter.passedOver++;
  }

  chunk(template: ChunkTemplate, buffer: Buffer): void {
    const builder = this.#builder;
    const { onTokens, onText } = this.#options;
    this.#hasDeltas = true;
    this.#noteEvent();
    const slackMs = this.#stampChunk();
    if (builder.responseId === null) builder.responseId = template.responseId(buffer);
    const tokens = this.#note(template);
    onTokens?.(tokens);
    if (template.escaped || onText !== undefined) {
      const text = template.text(buffer);
      onText?.(text);
      builder.addChunk(this.#atMs, text, template.completionTokens, slackMs);
    } else {
      const { textStart, textEnd, completionTokens } = template;
      builder.addChunkBytes(this.#atMs, buffer, textStart, textEnd, completionTokens, slackMs);
    }
  }

  /** The stream's own end mark. Its response mostly ends in the same read, or a moment later. */
  #done(): void {
    this.#builder.done = true;
    if (this.#doneAtMs >= 0) return;
    this.#doneAtMs = this.#atMs;
    // What has been received by then is read first, so that a busy event loop is not taken for a server that holds.
    const check = (): void => {
      this.#holdCheck = setImmediate(() => this.#release());
    };
    if (this.#habits.holdsOpen) check();
    else this.#holdTimer = setTimeout(check, HELD_OPEN_MS);
  }

  /** Makes the record of a stream whose response the server holds open. */
  #release(): void {
    this.isHeldOpen = true;
    this.#habits.holdsOpen = true;
    this.#options.meter.heldOpen++;
    this.#finish(this.#doneAtMs);
  }

  #noteEvent(): void {
    this.#builder.lastEventAtMs = this.#atMs;
    this.#options.meter.events++;
  }

  /** How much earlier than its instant the output chunk that is being reported may have arrived. */
  #stampChunk(): number {
    const slackMs = this.#reader.atEnd ? this.#lastSlackMs : this.#slackMs;
    this.#options.meter.stamp(slackMs);
    return slackMs;
  }

  /** Notes what an event tells beside its text; the tokens that it stands for when it has any. */
  #note(told: Pick<Delta, 'promptTokens' | 'completionTokens' | 'cachedTokens' | 'finishReason'>): number {
    const builder = this.#builder;
    const before = builder.completionTokens;
    if (told.promptTokens >= 0) builder.promptTokens = told.promptTokens;
    if (told.completionTokens >= 0) builder.completionTokens = told.completionTokens;
    if (told.cachedTokens >= 0) builder.cachedTokens = told.cachedTokens;
    if (told.finishReason !== null) builder.finishReason = told.finishReason;
    return told.completionTokens < 0 ? 1 : told.completionTokens - Math.max(0, before);
  }

  #judgeErrorBody(body: string): void {
    this.#options.onErrorBody?.(body, this.#head);
    const failure = this.#head.status === 200 ? notStreamed(this.#head, body) : httpFailure(this.#head, body);
    this.#builder.fail(failure.class, failure.detail);
  }

  #finish(atMs: number): void {
    if (this.#holdTimer !== null) clearTimeout(this.#holdTimer);
    if (this.#holdCheck !== null) clearImmediate(this.#holdCheck);
    // What fails before the instant at which it is to be sent lasts no time.
    const endAtMs = Math.max(atMs, this.#builder.sentAtMs);
    this.#resolve(this.#builder.finish(endAtMs, this.#options.templateShare));
  }
}
