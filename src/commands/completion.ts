import { usageError } from '../core/errors.ts';

const SHELLS = ['bash', 'zsh'] as const;

const HELP = `bench completion [${SHELLS.join('|')}]

Prints a script that completes commands and flags in a shell; that of SHELL when none is named.

  bench completion bash >> ~/.bashrc
  bench completion zsh >> ~/.zshrc      (behind the line that calls compinit)
`;

/**
 * The help that `words` behind `bench completion` ask for; null when they ask for the script of a shell, which the
 * parser then takes from SHELL, set here. Exit 2 on any other word.
 */
export function completionHelp(words: readonly string[]): string | null {
  if (words.some((word) => word === '--help' || word === '-h')) return HELP;
  const shell = SHELLS.find((name) => name === words[0]);
  const odd = words.find((word, i) => i > 0 || (shell === undefined && word !== ''));
  if (odd !== undefined)
    throw usageError(`bench completion: there is no script for "${odd}"`, `give one of ${SHELLS.join(', ')}`);
  if (shell !== undefined) {
    process.env['SHELL'] = shell;
    delete process.env['ZSH_NAME'];
  }
  return null;
}
