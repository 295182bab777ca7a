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

/** The plan with the value of every secret replaced by `***`, wherever it stands: what may be written to a file. */
export function redactPlan(plan: StackPlan): StackPlan {
  const secrets = plan.steps.flatMap(({ env }) =>
    Object.entries(env)
      .filter(([name, value]) => isSecretName(name) && value.length >= SHORTEST_SECRET)
      .map(([, value]) => value),
  );
  const strike = (text: string): string =>
    secrets.reduce((struck, secret) => struck.replaceAll(secret, HIDDEN), text);
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
