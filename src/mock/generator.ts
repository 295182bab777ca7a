import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/errors.ts';
import { Random } from '../core/random.ts';
import { type Answer, type AnswerPlan, StreamAnswer, WholeAnswer } from './answer.ts';
import { ApiError, internalError } from './api-error.ts';
import type { Engine, Ticket } from './engine.ts';
import { createEngine } from './engines.ts';
import { type Fault, parseFault } from './faults.ts';
import { type Api, type GenerationRequest, parseGeneration } from './generation-request.ts';
import { Metrics } from './metrics.ts';
import type { MockOptions } from './options.ts';
import { PrefixCache } from './prefix-cache.ts';
import { sendError } from './reply.ts';
import { SseWriter } from './sse-writer.ts';
import { eosLength, hashText, OutputText } from './text.ts';
import { Ticker } from './ticker.ts';
import type { MockTokenizer } from './tokenizer.ts';
import type { TruthLog, TruthStream } from './truth-log.ts';

/** A request whose body has been read. */
export interface Incoming {
  readonly api: Api;
  readonly body: string;
  /** The header x-mock-fault. */
  readonly fault: string | null;
  /** When its last byte arrived. */
  readonly arrivedAtMs: number;
  /** The header x-request-id. */
  readonly requestId: string | null;
  readonly response: ServerResponse;
}

/** Pieces of text that a tokenizer does not know yet and encodes before the first request. */
const WARMING_PIECES = 300;

/** Takes requests for output, runs them through the engine and writes their answers. */
export class Generator {
  readonly #options: MockOptions;
  readonly #tokenizer: MockTokenizer;
  readonly #engine: Engine;
  readonly #ticker: Ticker;
  readonly #metrics = new Metrics();
  readonly #prefixes = new PrefixCache();
  readonly #output: OutputText;
  readonly #isAscii: boolean;
  readonly #faultDice: Random;
  readonly #truth: TruthLog | null;
  #incoming: Incoming[] = [];
  #intake: NodeJS.Immediate | null = null;
  #touched: Answer[] = [];

  /** `truth` is told of each streamed answer. */
  constructor(
    options: MockOptions,
    tokenizer: MockTokenizer,
    clock: Pick<Clock, 'now'>,
    truth: TruthLog | null = null,
  ) {
    this.#options = options;
    this.#truth = truth;
    this.#tokenizer = tokenizer;
    this.#engine = createEngine(options.timing, clock);
    this.#output = new OutputText(options.text, tokenizer.words);
    this.#isAscii = this.#output.isAscii && Buffer.byteLength(options.model) === options.model.length;
    // Tokenizers are slow until they have counted for a while; without this the first requests would be late.
    const some = tokenizer.words.slice(0, WARMING_PIECES);
    tokenizer.countPrompt([{ role: 'user', content: `${tokenizer.words.join(' ')} ${some.join(', ')}` }]);
    this.#faultDice = new Random('fault', options.timing.seed);
    this.#ticker = new Ticker(
      clock,
      () => {
        this.#engine.advance();
        this.#flush();
      },
      () => this.#engine.nextAtMs,
      () => this.#incoming.length === 0,
    );
  }

  metricsText(): string {
    return this.#metrics.text(this.#engine.gauges, this.#options.timing.kvTokens);
  }

  /** Queues a request by its arrival. The work is done once all sockets that are readable now have had their turn. */
  take(incoming: Incoming): void {
    // Of a connection that is new, Node gives the bytes later than those of others.
    let at = this.#incoming.length;
    while (at > 0 && this.#incoming[at - 1]!.arrivedAtMs > incoming.arrivedAtMs) at--;
    this.#incoming.splice(at, 0, incoming);
    this.#intake ??= setImmediate(this.#takeIn);
  }

  stop(): void {
    this.#ticker.stop();
    if (this.#intake !== null) clearImmediate(this.#intake);
    this.#incoming = [];
  }

  /** One request a turn: sockets are read meanwhile, and output is not held up. */
  readonly #takeIn = (): void => {
    const incoming = this.#incoming.shift();
    this.#intake = this.#incoming.length > 0 ? setImmediate(this.#takeIn) : null;
    if (incoming !== undefined) this.#start(incoming);
    this.#flush();
    this.#ticker.wake();
  };

  #start(incoming: Incoming): void {
    const { response } = incoming;
    if (response.destroyed) return;
    try {
      const fault = this.#faultOf(incoming);
      if (this.#failsAtOnce(fault, response)) {
        this.#tellRefusal(incoming, fault!.kind);
        return;
      }
      this.#generate(
        incoming,
        parseGeneration(incoming.api, incoming.body, this.#options, this.#tokenizer),
        fault,
      );
    } catch (error) {
      const apiError =
        error instanceof ApiError ? error : new ApiError(500, errorText(error), 'internal_server_error', 500);
      sendError(response, apiError);
    }
  }

  #faultOf({ fault: asked }: Incoming): Fault | null {
    if (asked !== null) {
      const fault = parseFault(asked);
      if (fault === null) throw new ApiError(400, `x-mock-fault: "${asked}" is no fault`);
      return fault;
    }
    const { fault, faultRatio } = this.#options;
    return fault !== null && this.#faultDice.float() < faultRatio ? fault : null;
  }

  /** Does the faults that need no output. */
  #failsAtOnce(fault: Fault | null, response: ServerResponse): boolean {
    switch (fault?.kind) {
      case 'http-500':
        sendError(response, internalError());
        return true;
      case 'http-429':
        response.setHeader('retry-after', '1');
        sendError(
          response,
          new ApiError(429, 'Rate limit reached', 'rate_limit_error', 'rate_limit_exceeded'),
        );
        return true;
      case 'http-503':
        sendError(response, new ApiError(503, 'Service is overloaded', 'service_unavailable_error', 503));
        return true;
      case 'reset':
        response.socket?.resetAndDestroy();
        return true;
      case 'hang':
        return true;
      default:
        return false;
    }
  }

  #generate(incoming: Incoming, request: GenerationRequest, fault: Fault | null): void {
    const { response, arrivedAtMs } = incoming;
    const plan = this.#plan(request, response, fault);
    if (fault?.kind === 'close') response.shouldKeepAlive = false;
    const truth = request.stream ? this.#tellTruth(incoming, plan) : null;
    const answer = request.stream ? this.#stream(plan, truth) : new WholeAnswer(plan);
    this.#metrics.requests++;
    this.#metrics.promptTokens += request.promptTokens;
    this.#metrics.cachedTokens += plan.cachedTokens;
    answer.begin();
    if (response.writableEnded) {
      truth?.end(fault?.kind ?? 'good');
      return;
    }
    let over = false;
    let firstAtMs = arrivedAtMs;
    const ticket: Ticket = this.#engine.submit({
      arrivedAtMs,
      promptTokens: request.promptTokens,
      cachedTokens: plan.cachedTokens,
      outputTokens: plan.outputTokens,
      maxTokens: request.maxTokens,
      first: (stages) => {
        firstAtMs += this.#metrics.first(stages);
      },
      emit: (tokens, last, dueAtMs) => {
        if (over) return;
        if (last) this.#metrics.ended(dueAtMs - firstAtMs, dueAtMs - arrivedAtMs);
        truth?.due(dueAtMs);
        this.#metrics.generationTokens += tokens;
        over = !answer.emit(tokens, last);
        if (over) truth?.end(fault?.kind ?? 'good');
        if (!over) this.#touched.push(answer);
        else if (!last) this.#engine.cancel(ticket);
      },
    });
    response.once('close', () => {
      over = true;
      this.#engine.cancel(ticket);
      truth?.end(fault?.kind ?? 'client-gone');
    });
  }

  #tellTruth({ requestId, arrivedAtMs }: Incoming, plan: AnswerPlan): TruthStream | null {
    const { promptTokens } = plan.request;
    return this.#truth?.begin({ requestId, responseId: plan.id, arrivedAtMs, promptTokens }) ?? null;
  }

  #tellRefusal({ requestId, arrivedAtMs }: Incoming, outcome: string): void {
    this.#truth?.begin({ requestId, responseId: '', arrivedAtMs, promptTokens: 0 }).end(outcome);
  }

  #plan(request: GenerationRequest, response: ServerResponse, fault: Fault | null): AnswerPlan {
    const { timing, prefixCache, eosMeanTokens } = this.#options;
    const { promptText, promptTokens, maxTokens, minTokens, ignoreEos } = request;
    const known = prefixCache && promptText !== '' ? this.#prefixes.visit(promptText) / promptText.length : 0;
    const textSeed = hashText(promptText);
    const ends =
      eosMeanTokens === null || ignoreEos
        ? Number.POSITIVE_INFINITY
        : eosLength(eosMeanTokens, timing.seed, textSeed);
    const outputTokens = Math.min(maxTokens, Math.max(minTokens, ends, 1));
    return {
      request,
      response,
      options: this.#options,
      fault,
      id: `${request.api === 'chat' ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`,
      createdS: Math.floor(Date.now() / 1_000),
      // The last token is always computed, as in engines.
      cachedTokens: Math.min(Math.floor(promptTokens * known), Math.max(0, promptTokens - 1)),
      outputTokens,
      finishReason: outputTokens < maxTokens ? 'stop' : 'length',
      output: this.#output,
      textStart: this.#output.start(timing.seed, textSeed),
    };
  }

  #stream(plan: AnswerPlan, truth: TruthStream | null): StreamAnswer {
    const { response, options } = plan;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
    });
    response.flushHeaders();
    return new StreamAnswer(
      plan,
      new SseWriter(
        response,
        options.framing,
        this.#isAscii,
        new Random('split', options.timing.seed, this.#metrics.requests),
        truth,
      ),
    );
  }

  #flush(): void {
    const touched = this.#touched;
    this.#touched = [];
    for (const answer of touched) answer.flush();
  }
}
