import type { FailOn } from '../plan/planned.ts';
import type { FailurePattern } from './failure-patterns.ts';
import { FAILURE_CLASSES, type FailureClass } from './why.ts';

/** A rule of a step's own `fail_on`. */
export interface OwnRule {
  readonly pattern: RegExp;
  readonly rule: FailOn;
}

export function ownRule(rule: FailOn): OwnRule {
  return { pattern: new RegExp(rule.pattern), rule };
}

/** What the step's own patterns make of any of the lines; they come first, so that they may silence the table. */
export function ownMeaning(rules: readonly OwnRule[], lines: readonly string[]): FailurePattern | null {
  const own = rules.find(({ pattern }) => lines.some((line) => pattern.test(line)));
  if (own === undefined) return null;
  const { failureClass, action } = own.rule;
  return {
    pattern: own.pattern,
    failureClass: isFailureClass(failureClass) ? failureClass : 'crash',
    hint: null,
    strength: action === 'fail' ? 'cause' : 'symptom',
    action,
  };
}

function isFailureClass(name: string): name is FailureClass {
  return FAILURE_CLASSES.some((known) => known === name);
}
