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
  const secrets: { readonly from: number; readonly to: number; readonly value: string }[] = [];
  visit(document, {
    Pair(_key, { key, value }, ancestors) {
      if (!isScalar(key) || !isSecretName(String(key.value)) || !isScalar(value) || !value.range) return;
      const around = ancestors.findLast((one) => isPair(one));
      if (!isPair(around) || !isScalar(around.key) || around.key.value !== 'env') return;
      const given = String(value.value);
      if (/^\$\{env:\w+\}$/.test(given)) return;
      const [from, to] = value.range;
      secrets.push({ from, to: text[to - 1] === '\n' ? to - 1 : to, value: given });
    },
  });
  let kept = text;
  for (const { from, to } of secrets.toReversed())
    kept = `${kept.slice(0, from)}"${HIDDEN}"${kept.slice(to)}`;
  return strikeOut(
    kept,
    secrets.map(({ value }) => value).filter((value) => value.length >= SHORTEST_SECRET),
  );
}
