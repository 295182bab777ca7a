import { usageError } from '../core/errors.ts';
import type { RunStore } from '../host/store.ts';
import type { Interrupt } from './interrupt.ts';

/** What the disk refused first, and where. */
export function refusedText({ directory, refusal }: RunStore): string {
  return `the disk refused results in ${directory} (${refusal})`;
}

/** Refuses a run (exit 2) whose first documents the disk has refused: what it measures would be lost. */
export function refuseUnrecorded(store: RunStore): void {
  if (store.refused.aborted)
    throw usageError(`--out: ${refusedText(store)}`, 'make room on that disk, or choose another folder');
}

/** From now on nothing more is sent once the disk refuses results, which `say` reports. Gives what ends that. */
export function stopWhenRefused(
  store: RunStore,
  interrupt: Interrupt,
  say: (line: string) => void,
): () => void {
  const stop = (): void => {
    say(`bench: ${refusedText(store)}: nothing more is sent`);
    interrupt.stopSending();
  };
  store.refused.addEventListener('abort', stop, { once: true });
  return () => store.refused.removeEventListener('abort', stop);
}
