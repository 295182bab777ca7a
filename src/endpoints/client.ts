import type { FinishedRequest, RequestPlan } from '../core/record-builder.ts';
import type { Prompt } from '../core/spec.ts';
import type { BodyEdits, OptionalField } from './dialect.ts';
import { DONE_GRACE_MS, Exchange, type ServerHabits } from './exchange.ts';
import type { ExchangeOptions } from './exchange-options.ts';
import type { ReadMeter } from './read-meter.ts';
import type { ConnectionTally, Wire } from './wire.ts';

export interface ClientOptions extends ExchangeOptions {
  readonly model: string;
  readonly fields: ReadonlySet<OptionalField>;
  readonly edits?: BodyEdits;
  readonly extraBody: Readonly<Record<string, unknown>>;
  readonly headers: readonly (readonly [string, string])[];
}

/** Responses that the server holds open although their streams have ended: more have their connections closed. */
const MOST_HELD_OPEN = 64;

/** Sends prompts over wires in round robin and makes a record of each answer. */
export class Client {
  readonly #options: ClientOptions;
  readonly #wires: readonly Wire[];
  readonly #frames = new Map<number, { before: Buffer; after: Buffer }>();
  readonly #active = new Set<Exchange>();
  /** Those whose records are made while their connections are not free yet, oldest first. */
  readonly #heldOpen = new Set<Exchange>();
  /** Requests in flight per wire. */
  readonly #inLane: number[];
  readonly #habits: ServerHabits = { template: null, holdsOpen: false };
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

  /** Who stamps the events of all its wires. */
  get stampedBy(): Wire['stampedBy'] {
    return this.#options.stampedBy;
  }

  /** The number of ms before it is due that a request may be sent; 0 where it is sent at once. */
  get leadMs(): number {
    return Math.min(...this.#wires.map((wire) => wire.leadMs));
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

  /** Has so many idle connections opened in the background where there are fewer, for what is sent next. */
  spare(count: number): void {
    const share = Math.ceil(count / this.#wires.length);
    for (const wire of this.#wires) wire.spare(share);
  }

  takeTallies(): ConnectionTally[] {
    return this.#wires.map((wire) => wire.takeTally());
  }

  /**
   * The content of a conversation's next request: what was asked before, the answer (UTF-8), and the next question. The answer
   * goes back whole, reasoning included, for the stream does not tell them apart here.
   */
  follow(before: Uint8Array, answer: Uint8Array, question: Uint8Array): Uint8Array {
    const { turns } = this.#options.dialect;
    const said = JSON.stringify(Buffer.from(answer).toString('utf8')).slice(1, -1);
    return Buffer.concat([before, Buffer.from(`${turns.answer}${said}${turns.question}`, 'utf8'), question]);
  }

  /** Sends one request, when it is due or at once. Never rejects: a failure is a record like any other. */
  send(plan: RequestPlan, prompt: Prompt): Promise<FinishedRequest> {
    const lane = this.#freestLane();
    const { dialect, headers } = this.#options;
    const body = this.#body(prompt);
    return new Promise((resolve) => {
      const exchange = new Exchange(plan, this.#options, this.#habits, (finished) => {
        this.#active.delete(exchange);
        this.#inLane[lane]!--;
        if (exchange.isHeldOpen) this.#hold(exchange);
        this.#rest();
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
      const wire = this.#wires[lane]!;
      exchange.resend = () => {
        exchange.cancel = wire.send(request, exchange, undefined, true);
      };
      exchange.cancel = wire.send(request, exchange, plan.dueAtMs);
    });
  }

  #hold(exchange: Exchange): void {
    exchange.closed = () => {
      this.#heldOpen.delete(exchange);
      this.#rest();
    };
    this.#heldOpen.add(exchange);
    if (this.#heldOpen.size <= MOST_HELD_OPEN) return;
    const [oldest] = this.#heldOpen;
    oldest!.cancel({ class: 'cancelled', detail: 'the response stayed open' });
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
      const { dialect, model, fields, edits, extraBody } = this.#options;
      const ask = { model, maxTokens: prompt.osl, ...(edits === undefined ? {} : { edits }) };
      const text = dialect.frame(ask, fields, extraBody);
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
        for (const exchange of [...this.#active, ...this.#heldOpen]) exchange.checkTimeouts(now);
      },
      Math.min(250, Math.max(5, shortest / 20)),
    );
  }

  #rest(): void {
    if (this.#active.size === 0 && this.#heldOpen.size === 0) this.#stopTimer();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
