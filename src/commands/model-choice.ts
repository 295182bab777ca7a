import { BenchError, EXIT, usageError } from '../core/errors.ts';

/** The result of requesting the list of models. */
export interface ModelList {
  /** null where the answer was no list. */
  readonly ids: readonly string[] | null;
  /** Where it was asked for. */
  readonly url: string;
  /** The answer in words. */
  readonly answer: string;
  /** What to do about that; null where a model must be named. */
  readonly hint: string | null;
}

/**
 * The served model: `--model`, whether listed or not, else the only one that is listed. What is odd about it
 * goes into `notes`. Exit 3 when the server lists none, 2 when it lists several.
 */
export function chooseModel(wanted: string | null, list: ModelList, url: string, notes: string[]): string {
  const { ids: listed, answer } = list;
  if (wanted !== null) {
    if (listed === null) notes.push(`${list.url} gave no list (${answer}); going by the canary`);
    else if (!listed.includes(wanted))
      notes.push(
        `"${wanted}" is not among the listed models (${listed.join(', ') || 'none'}); going by the canary`,
      );
    return wanted;
  }
  if (listed === null) {
    throw new BenchError(
      EXIT.target,
      `${list.url} gave no list of models: ${answer}`,
      list.hint ?? 'name the served model with --model',
    );
  }
  if (listed.length === 0) {
    throw new BenchError(
      EXIT.target,
      `${url} is up but lists no model yet`,
      'wait until the workers have registered, or name one with --model',
    );
  }
  if (listed.length > 1) {
    throw usageError(
      `${url} serves ${listed.length} models: ${listed.join(', ')}`,
      'choose one with --model',
    );
  }
  return listed[0]!;
}

/** A model that is asked for, and the server's list, null when it gave none. */
interface AskedModel {
  readonly model: string;
  readonly modelsListed: readonly string[] | null;
}

/** A name that the server does not list is most likely wrong, and is told before what came of asking for it. */
export function notStreaming(url: string, asked: AskedModel, why: string): string {
  const { model, modelsListed } = asked;
  return isUnlisted(asked)
    ? `${url} does not list the model "${model}" (it lists ${modelsListed?.join(', ') || 'none'}) and does not stream it: ${why}`
    : `${url} does not stream "${model}": ${why}`;
}

/** Whether the server gave a list in which the model is not. */
export function isUnlisted({ model, modelsListed }: AskedModel): boolean {
  return modelsListed !== null && !modelsListed.includes(model);
}
