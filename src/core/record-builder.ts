import type { Failure, FailureClass, Outcome, Phase, RequestRecord, TokenCount } from './record.ts';
import { wrongEnd } from './stream-end.ts';
import { firstOf, GREATEST_UINT32, grow } from './typed-arrays.ts';
import { unseenTokens } from './unseen-tokens.ts';

/** What is known of a request before it is sent. */
export interface RequestPlan {
  readonly id: number;
  readonly point: number;
  readonly concurrency: number;
  readonly phase: Phase;
  readonly requestId: string;
  /** Number of the conversation in its phase, from 0, and of its turn, from 1; left out where each request stands for itself. */
  readonly conversation?: number;
  readonly turn?: number;
  readonly dueAtMs: number;
  /** Open loop: how long after it was due no slot was free for it. */
  readonly heldMs?: number;
  /** Asked lengths, and the count of prompt tokens that the server should come to (null when unknown). */
  readonly isl: number | null;
  readonly osl: number;
  readonly promptTokens: number | null;
}

/** Output text of a finished request whose tokens per chunk nobody has told yet. */
export interface ChunkText {
  /** UTF-8 of all output, chunk after chunk. */
  readonly bytes: Uint8Array;
  /** Where each chunk ends in `bytes`. */
  readonly ends: Uint32Array;
}

export interface FinishedRequest {
  readonly record: RequestRecord;
  /** Present when `uncounted`, and always where the client was told to keep text. */
  readonly text: ChunkText | null;
  /** A good request whose text is needed to tell tokens per chunk, or to count tokens at all. */
  readonly uncounted: boolean;
}

/** Less than half of the unit in which instants are kept. */
const EXACT_MS = 0.000_5;

/** So much of an event is kept for a message. */
const EXCERPT_CHARS = 300;

const ENCODER = new TextEncoder();

/**
 * Collects one request's events and makes exactly one record of them, whatever happened. Chunk times
 * live in typed arrays; text is kept as bytes, since a thousand short strings weigh ten times as much.
 */
export class RecordBuilder {
  readonly plan: RequestPlan;
  readonly #stampedBy: 'kernel' | 'process';
  readonly #keepText: boolean;
  readonly #naturalEnd: boolean;
  /** Set before the first chunk. */
  sentAtMs = 0;
  connectMs: number | null = null;
  resent = false;
  status: number | null = null;
  responseId: string | null = null;
  finishReason: string | null = null;
  done = false;
  promptTokens = -1;
  completionTokens = -1;
  cachedTokens = -1;
  lastEventAtMs: number | null = null;
  #firstAtMs = 0;
  #lastAtMs = 0;
  /** In whole µs since sending: the last chunk. */
  #lastUs = 0;
  #chunkUs: Uint32Array;
  /** In whole µs; null while all are 0. */
  #slackUs: Uint32Array | null = null;
  #chunkEnds: Uint32Array;
  #chunkTotals: Uint32Array | null = null;
  #chunks = 0;
  #text: Uint8Array;
  #textBytes = 0;
  #totalsComplete = true;
  #silentEvents = 0;
  /** The server's running count before the first chunk; -1 when unknown. */
  #countBefore = -1;
  /** Text is kept only while the server does not count for us. */
  #textComplete = true;
  #failure: Failure | null = null;
  /** The start of the longest event in which no output was found; null where there was none. */
  #unread: string | null = null;
  #unreadChars = 0;
  /** The start of the first event of no known kind. */
  #unknownEvent: string | null = null;

  /** `keepText` keeps all output, whoever counts; with `naturalEnd` an output may be shorter than requested. */
  constructor(
    plan: RequestPlan,
    keepText = false,
    stampedBy: 'kernel' | 'process' = 'process',
    naturalEnd = false,
  ) {
    this.plan = plan;
    this.#naturalEnd = naturalEnd;
    this.#stampedBy = stampedBy;
    this.#keepText = keepText;
    this.#chunkUs = new Uint32Array(plan.osl + 2);
    this.#chunkEnds = new Uint32Array(plan.osl + 2);
    this.#text = new Uint8Array(256);
  }

  get chunks(): number {
    return this.#chunks;
  }

  get failed(): boolean {
    return this.#failure !== null;
  }

  /**
   * An output chunk that arrived at most `slackMs` before `atMs`; `completionTokens` is the server's running count with it,
   * -1 when unknown.
   */
  addChunk(atMs: number, text: string, completionTokens: number, slackMs = 0): void {
    if (this.#countChunk(atMs, completionTokens, slackMs)) this.#addText(text);
  }

  /** As `addChunk`, of text that is bytes [start, end) of well-formed UTF-8. */
  addChunkBytes(
    atMs: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    completionTokens: number,
    slackMs = 0,
  ): void {
    if (!this.#countChunk(atMs, completionTokens, slackMs)) return;
    this.#makeRoom(end - start);
    const text = this.#text;
    let to = this.#textBytes;
    // A token is a few bytes long, which costs less to copy one by one than to hand over.
    for (let at = start; at < end; at++) text[to++] = bytes[at]!;
    this.#textBytes = to;
    this.#chunkEnds[this.#chunks - 1] = to;
  }

  /** Whether the chunk's text is to be kept. */
  #countChunk(atMs: number, completionTokens: number, slackMs: number): boolean {
    const index = this.#chunks++;
    if (index === this.#chunkUs.length) this.#growChunks();
    if (index === 0) this.#firstAtMs = atMs;
    this.#lastAtMs = atMs;
    // Each gap is the difference of rounded instants, so that the sum of gaps never drifts from the clock.
    const us = Math.round((atMs - this.sentAtMs) * 1_000);
    this.#chunkUs[index] = us - this.#lastUs;
    this.#lastUs = us;
    if (slackMs >= EXACT_MS && this.#stampedBy === 'kernel') {
      this.#slackUs ??= new Uint32Array(this.#chunkUs.length);
      this.#slackUs[index] = Math.min(Math.ceil(slackMs * 1_000), GREATEST_UINT32);
    }
    if (completionTokens < 0) {
      this.#totalsComplete = false;
      return true;
    }
    // One count may ride on the last text alone; from the second on the server counts for us, unless it sends nothing but 0.
    const kept = this.#chunkTotals === null || this.#keepText || completionTokens === 0;
    if (!kept) this.#textComplete = false;
    this.#chunkTotals ??= new Uint32Array(this.#chunkUs.length);
    this.#chunkTotals[index] = completionTokens;
    return kept;
  }

  /** An event in which no output was found; `isUnknown`: it is of no known kind, so it may be an error. */
  noteUnread(event: string, isUnknown: boolean): void {
    if (isUnknown) this.#unknownEvent ??= event.slice(0, EXCERPT_CHARS);
    if (event.length <= this.#unreadChars) return;
    this.#unread = event.slice(0, EXCERPT_CHARS);
    this.#unreadChars = event.length;
  }

  /** An event without output, once its counts are noted. */
  addSilentEvent(): void {
    this.#silentEvents++;
    if (this.#chunks === 0) this.#countBefore = this.completionTokens;
  }

  /** The first failure counts, with one exception: an error event tells more than what it led to. */
  fail(failureClass: FailureClass, detail: string): void {
    if (this.#failure === null || (failureClass === 'error-event' && this.#failure.class !== 'error-event')) {
      this.#failure = { class: failureClass, detail };
    }
  }

  /**
   * Makes the record. `templateShare` is subtracted from the server's prompt count where ISL means the
   * bare text. A proper end is `[DONE]` or a finish reason; good takes that, no error, and at least one
   * token by the server's count (visible text only where no count came). A finish reason that says that the server gave up
   * or cut the output fails it.
   */
  finish(endAtMs: number, templateShare: number): FinishedRequest {
    this.#judge();
    const plan = this.plan;
    const outcome: Outcome = this.#failure?.class ?? 'good';
    const chunks = this.#chunks;
    const counted = this.#countTokens();
    const unknown = counted.tokens === null || this.completionTokens < 0;
    const uncounted = outcome === 'good' && chunks > 0 && this.#textComplete && unknown;
    const unseen = unseenTokens({
      counted: this.completionTokens,
      chunks,
      chunkTokens: counted.tokens,
      firstBytes: this.#chunkEnds[0]!,
      silentEvents: this.#silentEvents,
      countBefore: this.#countBefore,
    });
    const record: RequestRecord = {
      id: plan.id,
      point: plan.point,
      concurrency: plan.concurrency,
      phase: plan.phase,
      requestId: plan.requestId,
      ...(plan.turn === undefined ? {} : { conversation: plan.conversation!, turn: plan.turn }),
      responseId: this.responseId,
      outcome,
      detail: this.#failure?.detail ?? null,
      status: this.status,
      finishReason: this.finishReason,
      dueAtMs: plan.dueAtMs,
      ...(plan.heldMs === undefined ? {} : { heldMs: plan.heldMs }),
      sentAtMs: this.sentAtMs,
      firstAtMs: chunks === 0 ? null : this.#firstAtMs,
      lastAtMs: chunks === 0 ? null : this.#lastAtMs,
      lastEventAtMs: this.lastEventAtMs,
      endAtMs,
      connectMs: this.connectMs,
      ...(this.resent ? { resent: true } : {}),
      stampedBy: this.#stampedBy,
      chunkUs: firstOf(this.#chunkUs, chunks),
      ...(this.#slackUs === null ? {} : { chunkSlackUs: firstOf(this.#slackUs, chunks) }),
      chunkTokens: counted.tokens,
      chunkTokensBy: counted.by,
      ...(unseen === 0 ? {} : { unseenTokens: unseen }),
      isl: this.#islCount(templateShare),
      osl: {
        asked: plan.osl,
        counted: this.completionTokens < 0 ? null : this.completionTokens,
        by: this.completionTokens < 0 ? 'none' : 'usage',
      },
      promptTokens: this.promptTokens < 0 ? null : this.promptTokens,
      cachedTokens: this.cachedTokens < 0 ? null : this.cachedTokens,
    };
    const text =
      uncounted || this.#keepText
        ? { bytes: firstOf(this.#text, this.#textBytes), ends: firstOf(this.#chunkEnds, chunks) }
        : null;
    this.#letGo();
    return { record, text, uncounted };
  }

  #judge(): void {
    if (this.#failure !== null) return;
    const { done, finishReason, completionTokens } = this;
    this.#failure = wrongEnd({
      done,
      finishReason,
      completionTokens,
      chunks: this.#chunks,
      leastTokens: this.#naturalEnd ? null : this.plan.osl,
      unread: this.#unread,
      unknownEvent: this.#unknownEvent,
    });
  }

  #islCount(templateShare: number): TokenCount<number | null> {
    const { isl, promptTokens } = this.plan;
    if (this.promptTokens >= 0)
      return { asked: isl, counted: this.promptTokens - templateShare, by: 'usage' };
    if (promptTokens !== null) return { asked: isl, counted: promptTokens - templateShare, by: 'tokenizer' };
    return { asked: isl, counted: null, by: 'none' };
  }

  #countTokens(): { tokens: Uint32Array | null; by: RequestRecord['chunkTokensBy'] } {
    const chunks = this.#chunks;
    if (chunks === 0) return { tokens: null, by: null };
    if (this.#totalsComplete && this.#chunkTotals !== null && this.#chunkTotals[chunks - 1]! > 0) {
      const tokens = firstOf(this.#chunkTotals, chunks);
      for (let i = chunks - 1; i > 0; i--) tokens[i] = Math.max(0, tokens[i]! - tokens[i - 1]!);
      return { tokens, by: 'continuous-usage' };
    }
    if (this.completionTokens === chunks)
      return { tokens: new Uint32Array(chunks).fill(1), by: 'one-per-chunk' };
    return { tokens: null, by: null };
  }

  /** What was collected is the record's now. */
  #letGo(): void {
    this.#chunkUs = this.#chunkEnds = new Uint32Array(0);
    this.#slackUs = this.#chunkTotals = null;
    this.#text = new Uint8Array(0);
  }

  #addText(text: string): void {
    this.#makeRoom(text.length * 3);
    this.#textBytes += ENCODER.encodeInto(text, this.#text.subarray(this.#textBytes)).written;
    this.#chunkEnds[this.#chunks - 1] = this.#textBytes;
  }

  #makeRoom(bytes: number): void {
    if (bytes <= this.#text.length - this.#textBytes) return;
    this.#text = grow(new Uint8Array(Math.max(this.#text.length * 2, this.#textBytes + bytes)), this.#text);
  }

  #growChunks(): void {
    const size = Math.max(16, this.#chunkUs.length * 2);
    this.#chunkUs = grow(new Uint32Array(size), this.#chunkUs);
    this.#chunkEnds = grow(new Uint32Array(size), this.#chunkEnds);
    if (this.#slackUs !== null) this.#slackUs = grow(new Uint32Array(size), this.#slackUs);
    if (this.#chunkTotals !== null) this.#chunkTotals = grow(new Uint32Array(size), this.#chunkTotals);
  }
}
