import type { FailureClass } from './why.ts';

/** What to do about a failure of which only its class is known. */
export const PLAIN_HINTS: Readonly<Partial<Record<FailureClass, string>>> = {
  'rank-crash':
    'The other ranks ended only because this one did: see what it printed before; the command alone is in plan.sh.',
  'launcher-crash':
    'The command inside of the launcher is dead while the ranks wait on: see the traceback, not the end of the log.',
  crash: 'See the lines around the crash, and whether the image, the model and the flags fit together.',
  exit: 'See the last lines of its log; the command alone, with its environment, is in plan.sh.',
};
