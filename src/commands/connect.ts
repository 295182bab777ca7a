import type { Clock } from '../core/clock.ts';
import { BenchError, EXIT } from '../core/errors.ts';
import type { FinishedRequest } from '../core/record-builder.ts';
import { newRequestIds } from '../core/request-ids.ts';
import type { Prompt, RunSpec } from '../core/spec.ts';
import { Client } from '../endpoints/client.ts';
import { Control, parseModels } from '../endpoints/control.ts';
import type { Dialect, OptionalField } from '../endpoints/dialect.ts';
import { findDialect } from '../endpoints/index.ts';
import { ReadMeter } from '../endpoints/read-meter.ts';
import { recogniseServer, SERVERS, type ServerKind, UNKNOWN_SERVER_FIELDS } from '../endpoints/servers.ts';
import type { Target } from '../endpoints/wire.ts';
import { chooseWires, type WireChoice } from '../endpoints/wires.ts';
import type { TargetAccess, TargetHints } from './arguments.ts';
import { CanaryReading } from './canary-reading.ts';
import { KnownSecrets } from './known-secrets.ts';
import { type KnownMetrics, type MetricSource, metricSources } from './metric-sources.ts';
import { chooseModel, isUnlisted, notStreaming } from './model-choice.ts';

/** A small request: a proof that tokens flow, not that a port is open. */
const CANARY_TEXT = 'Tell me a story as if we were playing dungeons and dragons.';
const CANARY_TOKENS = 30;
/** Fields that make an output as long as asked. */
const LENGTH_FIELDS: readonly OptionalField[] = ['ignore_eos', 'min_tokens'];
const SIDE_CALL_TIMEOUT_MS = 10_000;

const HINTS: TargetHints = {
  noServer: 'start it, or name it with --url',
  unlistedModel: 'name a listed one with --model',
};

/** A server that was asked who it is. */
export interface Identified {
  readonly model: string;
  readonly modelsListed: readonly string[] | null;
  readonly server: ServerKind;
  readonly serverBy: 'flag' | 'probe';
  readonly hasMetrics: boolean;
  /** Nothing of ours: the embedded tokenizer says nothing about its counts. */
  readonly foreign: boolean;
  readonly notes: readonly string[];
}

export interface Canary {
  readonly finished: FinishedRequest;
  readonly text: string;
  /** Fields that the server takes. */
  readonly fields: ReadonlySet<OptionalField>;
  readonly refusedFields: readonly OptionalField[];
  /** What of the output was not seen; null where all is well. */
  readonly warning: string | null;
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
  readonly #hints: TargetHints;
  readonly #headers: TargetAccess['headers'];
  readonly #wires: WireChoice;
  #sources: readonly MetricSource[] = [];

  /** Exit 2 where the wire that was asked for cannot be had. `signal` cancels requests outside of any measurement. */
  constructor(spec: ConnectSpec, access: TargetAccess, clock: Clock, signal: AbortSignal | null = null) {
    this.#spec = spec;
    this.#access = access;
    this.#clock = clock;
    this.#signal = signal;
    this.#hints = access.hints ?? HINTS;
    this.dialect = findDialect(spec.endpoint);
    this.#wires = chooseWires(spec.wire, access.targets);
    // Side calls are plain GETs: they get the credentials, not the headers of a stream.
    const headers = access.headers.filter(
      ([name]) => !['content-type', 'accept'].includes(name.toLowerCase()),
    );
    this.#headers = headers;
    this.#secrets = new KnownSecrets(headers, spec.extraBody);
    this.controls = access.targets.map(
      (target) =>
        new Control({
          target,
          tls: access.tls,
          headers,
          timeoutMs: SIDE_CALL_TIMEOUT_MS,
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
      extraBody,
      headers: this.#access.headers,
      timeouts,
      naturalEnd,
      stampedBy: this.#wires.stampedBy,
      meter,
      ...options,
    });
  }

  /**
   * Asks the targets who they are. A model list that fails or lacks the name is no obstacle when
   * `--model` was given: the canary decides. Exit 3 when nothing answers, 2 when the model is unclear.
   */
  async identify(): Promise<Identified> {
    const [models, metrics, health] = await Promise.all(
      ['/v1/models', '/metrics', '/health'].map((path) => this.controls[0]!.get(path)),
    );
    const url = this.controls[0]!.target.url;
    if (models!.status === null && metrics!.status === null && health!.status === null) {
      throw new BenchError(
        EXIT.target,
        `no server answers at ${url}: ${models!.error}`,
        this.#hints.noServer,
      );
    }
    const listed = models!.status === 200 ? parseModels(models!.body) : null;
    const notes: string[] = this.fallback === null ? [] : [this.fallback];
    const model = chooseModel(this.#spec.model, listed?.ids ?? null, url, models!.status, notes);
    const signs = {
      ownedBy: listed?.ownedBy ?? [],
      metrics: metrics!.status === 200 ? metrics!.body : '',
      health: health!.status === 200 ? health!.body : '',
    };
    const byFlag = SERVERS.find((kind) => kind.name === this.#spec.server);
    const probed = recogniseServer(signs);
    // An unknown server gets the fields of most engines; what it refuses is dropped by the canary.
    const server = byFlag ??
      probed ?? {
        ...SERVERS.find((kind) => kind.name === 'openai')!,
        fields: UNKNOWN_SERVER_FIELDS,
      };
    return {
      model,
      modelsListed: listed?.ids ?? null,
      server,
      serverBy: byFlag ? 'flag' : 'probe',
      hasMetrics: signs.metrics !== '',
      foreign: !signs.ownedBy.includes('bench-mock'),
      notes,
    };
  }

  /**
   * Streams a small request through the measuring path. Fields that a 400 names are dropped one by
   * one, all of them when it names none. Exit 3 when the stream does not end well.
   */
  async canary(identified: Identified): Promise<Canary> {
    const fields = new Set<OptionalField>(identified.server.fields);
    if (this.#spec.naturalEnd) for (const field of LENGTH_FIELDS) fields.delete(field);
    const refusedFields: OptionalField[] = [];
    for (;;) {
      const asked = await this.ask(identified.model, fields, CANARY_TEXT, CANARY_TOKENS);
      const { record } = asked.finished;
      if (record.outcome === 'good') {
        await this.proveStreams(identified.model, fields, this.#access.targets.slice(1));
        return { ...asked, fields, refusedFields };
      }
      const refused =
        record.status === 400 || record.status === 422 ? refusedBy(record.detail ?? '', fields) : [];
      if (refused.length === 0) {
        throw new BenchError(
          EXIT.target,
          notStreaming(this.controls[0]!.target.url, identified, `${record.outcome}: ${record.detail}`),
          isUnlisted(identified)
            ? this.#hints.unlistedModel
            : 'the stack may still be loading, or its workers are gone: see what it logs',
        );
      }
      for (const field of refused) fields.delete(field);
      refusedFields.push(...refused);
    }
  }

  /** Each target must stream, or a share of every level would fail. Exit 3 when one does not. */
  async proveStreams(
    model: string,
    fields: ReadonlySet<OptionalField>,
    targets: readonly Target[] = this.#access.targets,
  ): Promise<void> {
    for (const target of targets) {
      const { finished } = await this.ask(model, fields, CANARY_TEXT, CANARY_TOKENS, target);
      const { outcome, detail } = finished.record;
      if (outcome === 'good') continue;
      throw new BenchError(
        EXIT.target,
        `${target.url} does not stream "${model}": ${outcome}: ${detail}`,
        'leave it out, or see what it logs',
      );
    }
  }

  /** The request, without the credentials that the server may have told back in its error. */
  withoutSecrets(finished: FinishedRequest): FinishedRequest {
    const { detail } = finished.record;
    const clean = this.#secrets.remove(detail);
    return clean === detail ? finished : { ...finished, record: { ...finished.record, detail: clean } };
  }

  /** One request outside of any measurement, with the text it gave, and what of its output was not seen. */
  async ask(
    model: string,
    fields: ReadonlySet<OptionalField>,
    text: string,
    tokens: number,
    target: Target = this.#access.targets[0]!,
  ): Promise<{ finished: FinishedRequest; text: string; warning: string | null }> {
    if (this.#signal?.aborted) throw new BenchError(EXIT.interrupted, 'interrupted');
    const reading = new CanaryReading();
    const client = this.client({
      model,
      fields,
      target,
      templateShare: 0,
      onText: (chunk) => {
        reading.text += chunk;
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
    return { finished: this.withoutSecrets(finished), text: reading.text, warning };
  }

  /** The addresses whose metrics are looked at while levels run; closed with this. */
  metricSources(known: KnownMetrics): readonly MetricSource[] {
    this.#sources = metricSources(this.#spec.serverMetrics, known, this.#access, this.#headers);
    return this.#sources;
  }

  async close(): Promise<void> {
    const all = [...this.controls, ...this.#sources.map(({ control }) => control)];
    await Promise.all(all.map((control) => control.close()));
  }
}

/** The fields a refusal names; all that were optional when it names none of them. */
function refusedBy(message: string, fields: ReadonlySet<OptionalField>): OptionalField[] {
  const named = [...fields].filter((field) => message.includes(field));
  return named.length > 0 ? named : [...fields];
}
