import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/errors.ts';
import { type FinishedRequest, RecordBuilder, type RequestPlan } from '../core/record-builder.ts';
import type { TimeoutSpec } from '../core/spec.ts';
import { type ChunkEvents, ChunkReader, type SharedShape } from './chunk-reader.ts';
import type { ChunkTemplate } from './chunk-template.ts';
import { type Delta, type Dialect, emptyDelta } from './dialect.ts';
import { httpFailure } from './failures.ts';
import type { ReadMeter } from './read-meter.ts';
import type { Arrival, ResponseSink, WireFailure } from './wire.ts';

/** What all requests of a client share. */
export interface ExchangeOptions {
  readonly clock: Clock;
  readonly dialect: Dialect;
  readonly timeouts: TimeoutSpec;
  /** Tokens of the chat template, taken off the server's prompt count where ISL means the bare text. */
  readonly templateShare: number;
  /** Keep each request's output text, whoever counts its tokens. */
  readonly keepText?: boolean;
  /** Called for each output chunk with the tokens it carried (1 where the server does not say), for live progress. Must be cheap. */
  readonly onTokens?: (tokens: number) => void;
  /** Called for each output chunk with its text. */
  readonly onText?: (text: string) => void;
  /** Who stamps the reads. */
  readonly stampedBy: 'kernel' | 'process';
  /** Counts the events that come out of the bytes. */
  readonly meter: ReadMeter;
}

/** So long may a connection stay open after the stream's own end mark. */
export const DONE_GRACE_MS = 1_000;

/** A failed response's text is kept up to here, enough for its first line. */
const ERROR_BODY_BYTES = 4_096;

/** One request under way: bytes of the answer in, a record out. */
export class Exchange implements ResponseSink, ChunkEvents {
  readonly plan: RequestPlan;
  cancel: (reason: WireFailure) => void = () => undefined;
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
  #contentType = '';

  constructor(
    plan: RequestPlan,
    options: ExchangeOptions,
    shape: SharedShape,
    resolve: (finished: FinishedRequest) => void,
  ) {
    this.plan = plan;
    this.#builder = new RecordBuilder(plan, options.keepText, options.stampedBy);
    this.#options = options;
    this.#resolve = resolve;
    this.#reader = new ChunkReader(options.dialect, shape, this);
  }

  sent(atMs: number): void {
    this.#builder.sentAtMs = atMs;
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
    this.#contentType = headers.get('content-type') ?? '';
    if (status !== 200 || this.#contentType.startsWith('application/json')) this.#errorBody = [];
  }

  body(buffer: Buffer, start: number, end: number, arrival: Arrival, last: boolean): void {
    this.#atMs = arrival.atMs;
    this.#slackMs = arrival.slackMs;
    this.#lastSlackMs = last ? arrival.lastSlackMs : arrival.slackMs;
    this.#lastReadAtMs = arrival.atMs;
    if (this.#errorBody === null) {
      this.#reader.feed(buffer, start, end);
      return;
    }
    const room = ERROR_BODY_BYTES - this.#errorBytes;
    if (room <= 0) return;
    const copy = Buffer.from(buffer.subarray(start, Math.min(end, start + room)));
    this.#errorBody.push(copy);
    this.#errorBytes += copy.length;
  }

  end(atMs: number): void {
    if (this.#errorBody === null) this.#reader.end();
    else this.#judgeErrorBody(Buffer.concat(this.#errorBody).toString('utf8'));
    this.#finish(atMs);
  }

  fail(failure: WireFailure, atMs: number): void {
    const { done, finishReason } = this.#builder;
    // A stream that had come to its proper end was whole; how its connection went down changes nothing.
    const whole = done || finishReason !== null;
    if (!whole) this.#builder.fail(failure.class, failure.detail);
    this.#finish(whole ? this.#lastReadAtMs : atMs);
  }

  checkTimeouts(now: number): void {
    if (this.#builder.done && now - this.#lastReadAtMs > DONE_GRACE_MS) {
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
    this.#noteEvent();
    const delta = this.#delta;
    try {
      this.#options.dialect.read(data, delta);
    } catch (error) {
      if (type === 'error') builder.fail('error-event', data.slice(0, 300));
      else
        builder.fail(
          'malformed',
          `event is no JSON chunk (${errorText(error).slice(0, 120)}): ${data.slice(0, 120)}`,
        );
      return;
    }
    if (delta.error !== null || type === 'error') {
      builder.fail('error-event', (delta.error ?? data).slice(0, 300));
      return;
    }
    if (delta.done) {
      builder.done = true;
      return;
    }
    builder.responseId ??= delta.responseId;
    const tokens = this.#note(delta);
    if (delta.text === '') return;
    this.#options.onTokens?.(tokens);
    this.#options.onText?.(delta.text);
    builder.addChunk(this.#atMs, delta.text, delta.completionTokens, this.#stampChunk());
    this.#reader.learn(data, delta);
  }

  chunk(template: ChunkTemplate, buffer: Buffer): void {
    const builder = this.#builder;
    const { onTokens, onText } = this.#options;
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
    const status = this.#builder.status ?? 0;
    if (status === 200) {
      const first = body.slice(0, 200).replace(/\s+/g, ' ');
      this.#builder.fail('malformed', `answered ${this.#contentType} instead of an event stream: ${first}`);
      return;
    }
    const failure = httpFailure(status, body);
    this.#builder.fail(failure.class, failure.detail);
  }

  #finish(atMs: number): void {
    // What fails before the instant at which it is to be sent lasts no time.
    const endAtMs = Math.max(atMs, this.#builder.sentAtMs);
    this.#resolve(this.#builder.finish(endAtMs, this.#options.templateShare));
  }
}
