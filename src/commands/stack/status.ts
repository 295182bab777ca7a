import { EXIT, type ExitCode } from '../../core/errors.ts';
import { whyText } from '../../stack/failure/why-text.ts';
import { print } from '../terminal.ts';
import { findStack, listStacks } from './find.ts';
import { isDown, readState, stackLine, stillThere, supervisorLives, tryReadState } from './follow.ts';
import { stateLines } from './live-view.ts';

export const STATUS_OPTIONS = {
  json: { type: 'boolean', default: false, describe: 'print state.json' },
} as const;

/** `bench stack status [DIR]`: how a stack is; without a folder all that are under `results/`. Exit 4 when it has failed. */
export function runStatus(args: { dir: string | undefined; json: boolean }): ExitCode {
  if (args.dir === undefined && !args.json) {
    const stacks = listStacks();
    for (const dir of stacks) print(`${dir}  ${briefly(dir)}\n`);
    if (stacks.length === 0) print('no stack under results/\n');
    if (stacks.length !== 1) return EXIT.ok;
  }
  const dir = args.dir === undefined && !args.json ? listStacks()[0]! : findStack(args.dir, 'status');
  const state = readState(dir);
  if (args.json) {
    print(`${JSON.stringify(state, null, 2)}\n`);
  } else {
    print(`${stateLines(state, Date.now()).join('\n')}\n`);
    if (state.url !== null) print(`url: ${state.url}  model: ${state.servedModel}\n`);
    for (const warning of state.warnings) print(`warning: ${warning}\n`);
    if (state.why !== null) print(`${whyText(state.why)}\n`);
    if (!isDown(state) && !supervisorLives(state)) {
      const what = state.phase === 'stopped' ? 'not all of it has ended' : 'the supervisor is gone';
      print(`${what}; clean up: ${stackLine('down', dir)}\n`);
    }
  }
  return state.why === null ? EXIT.ok : EXIT.launch;
}

function briefly(dir: string): string {
  const state = tryReadState(dir);
  if (state === null) return 'no state';
  const gone = state.phase !== 'stopped' && !supervisorLives(state) ? ', its supervisor is gone' : '';
  const left = stillThere(state).length > 0 ? ', not all of it has ended' : '';
  return `${state.name}  ${state.phase}${state.why === null ? '' : ` (${state.why.failureClass})`}${gone}${left}`;
}
