import { BenchError, EXIT } from '../core/errors.ts';
import type { RunSpec } from '../core/spec.ts';
import { type Control, parseModels } from '../endpoints/control.ts';
import { speaksOtherScheme } from '../endpoints/other-scheme.ts';
import { recogniseServer, SERVERS, type ServerKind, UNKNOWN_SERVER_FIELDS } from '../endpoints/servers.ts';
import { sideUrl } from '../endpoints/target.ts';
import type { KnownSecrets } from './known-secrets.ts';
import { chooseModel } from './model-choice.ts';
import { type Called, noAnswer, sideAnswer } from './target-hints.ts';

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

const MODELS = '/v1/models';

/**
 * Asks a target who it is. A model list that fails or lacks the name is no obstacle when `--model` was given: the canary decides.
 * `notes` are what is known before. Exit 3 when nothing answers, 2 when the model is unclear.
 */
export async function identify(order: {
  readonly control: Control;
  readonly asked: Pick<RunSpec, 'model' | 'server'>;
  readonly called: Called;
  readonly notes: readonly string[];
  readonly secrets: KnownSecrets;
}): Promise<Identified> {
  const { control, asked, called } = order;
  const answers = await Promise.all([MODELS, '/metrics', '/health'].map((path) => control.get(path)));
  const [models, metrics, health] = [answers[0]!, answers[1]!, answers[2]!];
  const { target } = control;
  // A server for TLS may say in plain HTTP that it is one.
  const mistaken = models.status === 400 && !target.tls && (await speaksOtherScheme(target));
  if (mistaken || answers.every(({ status }) => status === null)) {
    const { message, hint } = await noAnswer(control, models, called);
    throw new BenchError(EXIT.target, order.secrets.remove(message), hint);
  }
  const listed = models.status === 200 ? parseModels(models.body) : null;
  const notes = [...order.notes];
  const { text, hint } = sideAnswer(models, called);
  const list = {
    ids: listed?.ids ?? null,
    url: sideUrl(target, MODELS),
    answer: order.secrets.remove(text),
    hint,
  };
  const model = chooseModel(asked.model, list, target.url, notes);
  const signs = {
    ownedBy: listed?.ownedBy ?? [],
    metrics: metrics.status === 200 ? metrics.body : '',
    health: health.status === 200 ? health.body : '',
  };
  const byFlag = SERVERS.find((kind) => kind.name === asked.server);
  const probed = recogniseServer(signs);
  // An unknown server gets the fields of most engines; what it refuses is dropped by the canary.
  const server = byFlag ??
    probed ?? {
      ...SERVERS.find((kind) => kind.name === 'openai')!,
      fields: UNKNOWN_SERVER_FIELDS,
    };
  return {
    model,
    modelsListed: list.ids,
    server,
    serverBy: byFlag ? 'flag' : 'probe',
    hasMetrics: signs.metrics !== '',
    foreign: !signs.ownedBy.includes('bench-mock'),
    notes,
  };
}
