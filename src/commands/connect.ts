import type { Clock } from '../core/clock.ts';
import { BenchError, EXIT } from '../core/errors.ts';
import type { FinishedRequest } from '../core/record-builder.ts';
import { newRequestIds } from '../core/request-ids.ts';
import type { Prompt, RunSpec } from '../core/spec.ts';
import { Client } from '../endpoints/client.ts';
import { Control } from '../endpoints/control.ts';
import type { BodyEdits, Dialect, OptionalField } from '../endpoints/dialect.ts';
import type { ResponseHead } from '../endpoints/failures.ts';
import { findDialect } from '../endpoints/index.ts';
import { ReadMeter } from '../endpoints/read-meter.ts';
import type { Target } from '../endpoints/wire.ts';
import { chooseWires, type WireChoice } from '../endpoints/wires.ts';
import type { TargetAccess } from './arguments.ts';
import { LENGTH_FIELDS, LearntEdits, omitWarnings, refusalWarnings } from './body-edits.ts';
import { CanaryReading } from './canary-reading.ts';
import { type Identified, identify } from './identify.ts';
import { KnownSecrets } from './known-secrets.ts';
import { type KnownMetrics, type MetricSource, metricSources } from './metric-sources.ts';
import { isUnlisted, notStreaming } from './model-choice.ts';
import {
  type Asked,
  type Called,
  type CanaryCall,
  failedCanary,
  type OddAnswer,
  TARGET_HINTS,
} from './target-hints.ts';

/** A small request: a proof that tokens flow, not that a port is open. */
const CANARY_TEXT = 'Tell me a story as if we were playing dungeons and dragons.';
const CANARY_TOKENS = 30;
const SIDE_CALL_TIMEOUT_MS = 10_000;

export interface Canary {
  readonly finished: FinishedRequest;
  readonly text: string;
  /** Fields that the server takes. */
  readonly fields: ReadonlySet<OptionalField>;
  readonly edits: BodyEdits;
  readonly refusedFields: readonly string[];
  /** What is odd about the bodies, and what of the output was not seen, in sentences. */
  readonly warnings: readonly string[];
}

/** Spec fields that say how to talk to a target. */
export type ConnectSpec = Pick<
  RunSpec,
  | 'urls'
  | 'model'
  | 'endpoint'
  | 'server'
  | 'wire'
  | 'connectionPerRequest'
  | 'timeouts'
  | 'extraBody'
  | 'omit'
  | 'naturalEnd'
  | 'serverMetrics'
>;

/** One set of targets: their side calls, and clients for streams. */
export class Connection {
  readonly controls: readonly Control[];
  readonly dialect: Dialect;
  readonly #spec: ConnectSpec;
  readonly #access: TargetAccess;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | null;
  readonly #secrets: KnownSecrets;
  /** What its requests have that a server may refuse. */
  readonly edits: LearntEdits;
  /** For hints about answers that are not as requested. */
  readonly called: Called;
  readonly #headers: TargetAccess['headers'];
  readonly #wires: WireChoice;
  #sources: readonly MetricSource[] = [];

  /** Exit 2 where the wire that was asked for cannot be had. `signal` cancels requests outside of any measurement. */
  constructor(spec: ConnectSpec, access: TargetAccess, clock: Clock, signal: AbortSignal | null = null) {
    this.#spec = spec;
    this.#access = access;
    this.#clock = clock;
    this.#signal = signal;
    this.edits = new LearntEdits(spec.omit);
    this.called = { hints: access.hints ?? TARGET_HINTS, keyFrom: access.keyFrom ?? null };
    this.dialect = findDialect(spec.endpoint);
    this.#wires = chooseWires(spec.wire, access.targets);
    // Side calls are plain GETs: they get the credentials, not the headers of a stream.
    const headers = access.headers.filter(
      ([name]) => !['content-type', 'accept'].includes(name.toLowerCase()),
    );
    this.#headers = headers;
    this.#secrets = new KnownSecrets(headers, spec.extraBody, access.targets);
    this.controls = access.targets.map(
      (target) =>
        new Control({
          target,
          tls: access.tls,
          headers,
          timeoutMs: SIDE_CALL_TIMEOUT_MS,
          usesProxies: this.#wires.usesProxies,
          signal: signal ?? undefined,
        }),
    );
  }

  /** Why the time stamps are not the kernel's although nothing else was asked for, in a sentence; null where they are. */
  get fallback(): string | null {
    return this.#wires.fallback;
  }

  /** A client with wires of its own. */
  client(options: {
    model: string;
    fields: ReadonlySet<OptionalField>;
    templateShare: number;
    keepText?: boolean;
    onTokens?: (tokens: number) => void;
    onText?: (text: string) => void;
    onChunk?: (data: string, text: string) => void;
    onErrorBody?: (body: string, head: ResponseHead) => void;
    /** Speaks to this target alone. */
    target?: Target;
  }): Client {
    const { connectionPerRequest, timeouts, extraBody, naturalEnd = false } = this.#spec;
    const targets = options.target === undefined ? this.#access.targets : [options.target];
    const meter = new ReadMeter();
    const wires = targets.map((target) =>
      this.#wires.make({
        target,
        clock: this.#clock,
        tls: this.#access.tls,
        connectTimeoutMs: timeouts.connectMs,
        connectionPerRequest,
        meter,
      }),
    );
    return new Client(wires, {
      clock: this.#clock,
      dialect: this.dialect,
      edits: this.edits.snapshot(),
      extraBody,
      headers: this.#access.headers,
      timeouts,
      naturalEnd,
      stampedBy: this.#wires.stampedBy,
      meter,
      ...options,
    });
  }

  /** Asks the targets who they are; see `identify`. */
  identify(): Promise<Identified> {
    return identify({
      control: this.controls[0]!,
      asked: this.#spec,
      called: this.called,
      notes: this.fallback === null ? [] : [this.fallback],
      secrets: this.#secrets,
    });
  }

  /** Streams a small request through the measuring path. Exit 3 when the stream does not end well. */
  async canary(identified: Identified): Promise<Canary> {
    const { model, server } = identified;
    const fields = new Set<OptionalField>(server.fields);
    if (this.#spec.naturalEnd) for (const field of LENGTH_FIELDS) fields.delete(field);
    const omit = omitWarnings(this.#spec.omit ?? [], this.#body(model, fields, CANARY_TOKENS));
    const asked = await this.askEdited(model, fields, CANARY_TEXT, CANARY_TOKENS);
    const { finished, text, warning } = asked;
    if (finished.record.outcome !== 'good') {
      const { target } = this.controls[0]!;
      const why = failedCanary(asked, this.#call(target, isUnlisted(identified)));
      throw new BenchError(EXIT.target, notStreaming(target.url, identified, why.text), why.hint);
    }
    const { refused } = this.edits;
    for (const field of refused) fields.delete(field as OptionalField);
    await this.proveStreams(model, fields, this.#access.targets.slice(1));
    return {
      finished,
      text,
      fields,
      edits: this.edits.snapshot(),
      refusedFields: refused,
      warnings: [...omit, ...refusalWarnings(refused), ...(warning === null ? [] : [warning])],
    };
  }

  /** Each target must stream, or a share of every level would fail. Exit 3 when one does not. */
  async proveStreams(
    model: string,
    fields: ReadonlySet<OptionalField>,
    targets: readonly Target[] = this.#access.targets,
  ): Promise<void> {
    for (const target of targets) {
      const asked = await this.ask(model, fields, CANARY_TEXT, CANARY_TOKENS, target);
      if (asked.finished.record.outcome === 'good') continue;
      const why = failedCanary(asked, this.#call(target, false));
      throw new BenchError(
        EXIT.target,
        `${target.url} does not stream "${model}": ${why.text}`,
        `leave it out, or: ${why.hint}`,
      );
    }
  }

  #call(target: Target, unlisted: boolean): CanaryCall {
    const { called, dialect, edits } = this;
    return { called, dialect, edits, extraBody: this.#spec.extraBody, target, unlisted };
  }

  /** The request, without the credentials that the server may have told back in its error. */
  withoutSecrets(finished: FinishedRequest): FinishedRequest {
    const { detail } = finished.record;
    const clean = this.#secrets.remove(detail);
    return clean === detail ? finished : { ...finished, record: { ...finished.record, detail: clean } };
  }

  /** The same as `ask`, again without what the server refuses as long as that is something that can be left out. */
  async askEdited(
    model: string,
    fields: ReadonlySet<OptionalField>,
    text: string,
    tokens: number,
  ): Promise<Asked> {
    for (;;) {
      const sent = this.#body(model, fields, tokens, this.edits.snapshot());
      const asked = await this.ask(model, fields, text, tokens);
      const { status, outcome, detail } = asked.finished.record;
      if (outcome === 'good' || status === null || !this.dialect.editable) return asked;
      // An error that comes with status 200, in JSON or inside of the stream, must say in words that it refuses.
      const refusal = { status: status >= 400 ? status : 500, body: asked.answer?.body ?? detail ?? '' };
      if (!this.edits.learn(refusal, sent, fields, this.#spec.extraBody)) return asked;
    }
  }

  /** A body with an empty prompt. */
  #body(
    model: string,
    fields: ReadonlySet<OptionalField>,
    maxTokens: number,
    edits?: BodyEdits,
  ): Record<string, unknown> {
    const ask = { model, maxTokens, ...(edits === undefined ? {} : { edits }) };
    const { before, after } = this.dialect.frame(ask, fields, this.#spec.extraBody);
    return JSON.parse(`${before}${after}`) as Record<string, unknown>;
  }

  /** One request outside of any measurement, with the text it gave, and what of its output was not seen. */
  async ask(
    model: string,
    fields: ReadonlySet<OptionalField>,
    text: string,
    tokens: number,
    target: Target = this.#access.targets[0]!,
  ): Promise<Asked> {
    if (this.#signal?.aborted) throw new BenchError(EXIT.interrupted, 'interrupted');
    const reading = new CanaryReading();
    let answer: OddAnswer | null = null;
    const client = this.client({
      model,
      fields,
      target,
      templateShare: 0,
      onText: (chunk) => {
        reading.text += chunk;
      },
      onErrorBody: (body, head) => {
        answer = { head, body };
      },
      onChunk: (data, chunk) => reading.noteChunk(data, chunk),
    });
    const prompt: Prompt = {
      content: Buffer.from(JSON.stringify(text).slice(1, -1)),
      isl: 0,
      osl: tokens,
      promptTokens: null,
    };
    const cancel = (): void => client.cancel('interrupted');
    this.#signal?.addEventListener('abort', cancel);
    const finished = await client.send(
      {
        ...newRequestIds('canary').next(),
        point: -1,
        concurrency: 1,
        phase: 'warmup',
        dueAtMs: this.#clock.now(),
        isl: 0,
        osl: tokens,
        promptTokens: null,
      },
      prompt,
    );
    this.#signal?.removeEventListener('abort', cancel);
    await client.close();
    const warning = this.#secrets.remove(reading.warning(finished.record));
    return { finished: this.withoutSecrets(finished), text: reading.text, warning, answer };
  }

  /** The addresses whose metrics are looked at while levels run; closed with this. */
  metricSources(known: KnownMetrics): readonly MetricSource[] {
    const { usesProxies } = this.#wires;
    this.#sources = metricSources(this.#spec.serverMetrics, known, this.#access, this.#headers, usesProxies);
    return this.#sources;
  }

  async close(): Promise<void> {
    const all = [...this.controls, ...this.#sources.map(({ control }) => control)];
    await Promise.all(all.map((control) => control.close()));
  }
}
