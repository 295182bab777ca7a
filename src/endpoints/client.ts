import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/errors.ts';
import { type FinishedRequest, RecordBuilder, type RequestPlan } from '../core/record-builder.ts';
import type { Prompt, TimeoutSpec } from '../core/spec.ts';
import { type ChunkEvents, ChunkReader, type SharedShape } from './chunk-reader.ts';
import type { ChunkTemplate } from './chunk-template.ts';
import { type Delta, type Dialect, emptyDelta, type OptionalField } from './dialect.ts';
import { httpFailure } from './failures.ts';
import type { ReadMeter } from './read-meter.ts';
import type { ConnectionTally, ResponseSink, Wire, WireFailure } from './wire.ts';

export interface ClientOptions {
  readonly clock: Clock;
  readonly dialect: Dialect;
  readonly model: string;
  readonly fields: ReadonlySet<OptionalField>;
  readonly extraBody: Readonly<Record<string, unknown>>;
  readonly headers: readonly (readonly [string, string])[];
  readonly timeouts: TimeoutSpec;
  /** Tokens of the chat template, taken off the server's prompt count where ISL means the bare text. */
  readonly templateShare: number;
  /** Keep each request's output text, whoever counts its tokens. */
  readonly keepText?: boolean;
  /** Called for each output chunk with the tokens it carried (1 where the server does not say), for live progress. Must be cheap. */
  readonly onTokens?: (tokens: number) => void;
  /** Called for each output chunk with its text. */
  readonly onText?: (text: string) => void;
  /** Counts the events that come out of the bytes. */
  readonly meter: ReadMeter;
}

/** So long may a connection stay open after the stream's own end mark. */
const DONE_GRACE_MS = 1_000;

/** A failed response's text is kept up to here, enough for its first line. */
const ERROR_BODY_BYTES = 4_096;

/** Sends prompts over wires in round robin and makes a record of each answer. */
export class Client {
  readonly #options: ClientOptions;
  readonly #wires: readonly Wire[];
  readonly #frames = new Map<number, { before: Buffer; after: Buffer }>();
  readonly #active = new Set<Exchange>();
  /** Requests in flight per wire. */
  readonly #inLane: number[];
  readonly #shape: SharedShape = { template: null };
  #next = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(wires: readonly Wire[], options: ClientOptions) {
    this.#wires = wires;
    this.#inLane = wires.map(() => 0);
    this.#options = options;
  }

  /** Requests sent and not yet ended. */
  get inFlight(): number {
    return this.#active.size;
  }

  /** What all reads of its wires came to. */
  get meter(): ReadMeter {
    return this.#options.meter;
  }

  /** Opens connections for `count` requests in flight, spread over the targets. */
  async open(count: number): Promise<ConnectionTally[]> {
    const share = Math.ceil(count / this.#wires.length);
    return Promise.all(this.#wires.map((wire) => wire.open(share)));
  }

  takeTallies(): ConnectionTally[] {
    return this.#wires.map((wire) => wire.takeTally());
  }

  /** Sends one request now. Never rejects: a failure is a record like any other. */
  send(plan: RequestPlan, prompt: Prompt): Promise<FinishedRequest> {
    const lane = this.#freestLane();
    const { dialect, headers } = this.#options;
    const body = this.#body(prompt);
    return new Promise((resolve) => {
      const exchange = new Exchange(plan, this.#options, this.#shape, (finished) => {
        this.#active.delete(exchange);
        this.#inLane[lane]!--;
        if (this.#active.size === 0) this.#stopTimer();
        resolve(finished);
      });
      this.#active.add(exchange);
      this.#inLane[lane]!++;
      this.#startTimer();
      const request = {
        path: dialect.path,
        headers: [...headers, ['x-request-id', plan.requestId] as const],
        body,
      };
      exchange.cancel = this.#wires[lane]!.send(request, exchange);
    });
  }

  /** Cancels what is in flight: all of it, or the requests that `which` picks. */
  cancel(detail: string, which: (plan: RequestPlan) => boolean = () => true): void {
    for (const exchange of [...this.#active]) {
      if (which(exchange.plan)) exchange.cancel({ class: 'cancelled', detail });
    }
  }

  async close(): Promise<void> {
    this.#stopTimer();
    await Promise.all(this.#wires.map((wire) => wire.close()));
  }

  /** In turn, but for a wire with more in flight than another: its open connections may all be taken. */
  #freestLane(): number {
    const turn = this.#next++;
    let best = turn % this.#wires.length;
    for (let i = 1; i < this.#wires.length; i++) {
      const other = (turn + i) % this.#wires.length;
      if (this.#inLane[other]! < this.#inLane[best]!) best = other;
    }
    return best;
  }

  #body(prompt: Prompt): Buffer {
    let frame = this.#frames.get(prompt.osl);
    if (frame === undefined) {
      const { dialect, model, fields, extraBody } = this.#options;
      const text = dialect.frame({ model, maxTokens: prompt.osl }, fields, extraBody);
      frame = { before: Buffer.from(text.before), after: Buffer.from(text.after) };
      this.#frames.set(prompt.osl, frame);
    }
    return frame.after.length === 0
      ? frame.before
      : Buffer.concat([frame.before, prompt.content, frame.after]);
  }

  /** One timer watches all requests, so that a time-out costs nothing per event. */
  #startTimer(): void {
    if (this.#timer !== null) return;
    const { firstMs, idleMs, totalMs } = this.#options.timeouts;
    const shortest = Math.min(DONE_GRACE_MS, ...[firstMs, idleMs, totalMs].filter((ms) => ms > 0));
    this.#timer = setInterval(
      () => {
        const now = this.#options.clock.now();
        for (const exchange of [...this.#active]) exchange.checkTimeouts(now);
      },
      Math.min(250, Math.max(5, shortest / 20)),
    );
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}

/** One request under way: bytes of the answer in, a record out. */
class Exchange implements ResponseSink, ChunkEvents {
  readonly plan: RequestPlan;
  cancel: (reason: WireFailure) => void = () => undefined;
  readonly #builder: RecordBuilder;
  readonly #options: ClientOptions;
  readonly #resolve: (finished: FinishedRequest) => void;
  readonly #delta: Delta = emptyDelta();
  readonly #reader: ChunkReader;
  #atMs = 0;
  #lastReadAtMs = -1;
  #errorBody: Buffer[] | null = null;
  #errorBytes = 0;
  #contentType = '';

  constructor(
    plan: RequestPlan,
    options: ClientOptions,
    shape: SharedShape,
    resolve: (finished: FinishedRequest) => void,
  ) {
    this.plan = plan;
    this.#builder = new RecordBuilder(plan, options.keepText);
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

  body(buffer: Buffer, start: number, end: number, atMs: number): void {
    this.#atMs = atMs;
    this.#lastReadAtMs = atMs;
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
    builder.lastEventAtMs = this.#atMs;
    this.#options.meter.events++;
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
    builder.addChunk(this.#atMs, delta.text, delta.completionTokens);
    this.#reader.learn(data, delta);
  }

  chunk(template: ChunkTemplate, buffer: Buffer): void {
    const builder = this.#builder;
    const { meter, onTokens, onText } = this.#options;
    builder.lastEventAtMs = this.#atMs;
    meter.events++;
    if (builder.responseId === null) builder.responseId = template.responseId(buffer);
    const tokens = this.#note(template);
    onTokens?.(tokens);
    if (template.escaped || onText !== undefined) {
      const text = template.text(buffer);
      onText?.(text);
      builder.addChunk(this.#atMs, text, template.completionTokens);
    } else {
      const { textStart, textEnd, completionTokens } = template;
      builder.addChunkBytes(this.#atMs, buffer, textStart, textEnd, completionTokens);
    }
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
    this.#resolve(this.#builder.finish(atMs, this.#options.templateShare));
  }
}
