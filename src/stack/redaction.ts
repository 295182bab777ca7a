import { isPair, isScalar, parseDocument, visit } from 'yaml';
import type { PlannedStep, StackPlan } from './planned.ts';

const SECRET_NAME = /TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIAL/i;
/** Names that look like a secret and are none. */
const OPEN_NAME = /TOKENIZER|_TOKENS$|TOKENS?_(MS|S|IDS?|COUNT|LIMIT)$|KEYS?_(PATH|FILE|DIR)$|MAX_.*TOKEN/i;
const HIDDEN = '***';
/** A shorter text would be struck out of places that have nothing to do with it. */
const SHORTEST_SECRET = 6;

/** Whether a variable of this name is kept out of files and of what is printed. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) && (!OPEN_NAME.test(name) || /(API|AUTH|ACCESS|HF|HUB)_?TOKEN/i.test(name));
}

/** Values of the secrets that the steps are given, but for those too short to be told from other text. */
export function secretsOf(plan: StackPlan): string[] {
  const values = plan.steps.flatMap(({ env }) =>
    Object.entries(env)
      .filter(([name, value]) => isSecretName(name) && value.length >= SHORTEST_SECRET)
      .map(([, value]) => value),
  );
  return [...new Set(values)];
}

/** The text with each of the values replaced by `***`. */
export function strikeOut(text: string, secrets: readonly string[]): string {
  return secrets.reduce((struck, secret) => struck.replaceAll(secret, HIDDEN), text);
}

/** The plan with the value of every secret replaced by `***`, wherever it stands: what may be written to a file. */
export function redactPlan(plan: StackPlan): StackPlan {
  const secrets = secretsOf(plan);
  const strike = (text: string): string => strikeOut(text, secrets);
  const steps = plan.steps.map(
    (step): PlannedStep => ({
      ...step,
      argv: step.argv.map(strike),
      command: step.command.map(strike),
      env: Object.fromEntries(
        Object.entries(step.env).map(([name, value]) => [name, isSecretName(name) ? HIDDEN : strike(value)]),
      ),
    }),
  );
  return { ...plan, steps };
}

/**
 * The text of a stack file as it may be kept: values of secrets that are written in it are struck out, references
 * to the environment and all else, comments included, stand as they are.
 */
export function keptText(text: string): string {
  const document = parseDocument(text);
  const own = new Map<unknown, string>();
  visit(document, {
    Pair(_key, { key, value }, ancestors) {
      if (!isScalar(key) || !isSecretName(String(key.value)) || !isScalar(value)) return;
      const around = ancestors.findLast((one) => isPair(one));
      if (!isPair(around) || !isScalar(around.key) || around.key.value !== 'env') return;
      if (!/^\$\{env:\w+\}$/.test(String(value.value))) own.set(value, String(value.value));
    },
  });
  const secrets = [...own.values()].filter((value) => value.length >= SHORTEST_SECRET);
  let kept = text;
  let moved = 0;
  visit(document, {
    Scalar(_key, node) {
      const given = String(node.value);
      const struck = own.has(node) ? HIDDEN : strikeOut(given, secrets);
      if (struck === given || !node.range) return;
      const [from, end] = node.range;
      // A block of lines ends with its line break.
      const to = text[end - 1] === '\n' ? end - 1 : end;
      const put = JSON.stringify(struck);
      kept = `${kept.slice(0, from + moved)}${put}${kept.slice(to + moved)}`;
      moved += put.length - (to - from);
    },
  });
  return strikeOut(kept, secrets);
}
