import { spawn } from 'node:child_process';
import { BenchError, EXIT, usageError } from '../core/errors.ts';

const LISTENING = /listening on (\S+)/;

export interface MockProcess {
  readonly url: string;
  /** Its process, which leads a group of its own. */
  readonly pid: number | undefined;
  stop(): Promise<void>;
}

/** The words of `--mock-flags`. */
export function mockWords(flags: string): string[] {
  return flags.split(/\s+/).filter((word) => word !== '');
}

/**
 * Starts `bench mock` on a free port in a process of its own, so that it does not share the sender's core.
 * `before` is put before the command, to keep it on a core.
 */
export async function startMockProcess(
  words: readonly string[],
  before: readonly string[] = [],
): Promise<MockProcess> {
  const command = [...before, process.execPath, process.argv[1]!, 'mock', '--port', '0', ...words];
  const child = spawn(command[0]!, command.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A signal to the terminal's group must not take the server away while requests are let to end.
    detached: true,
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const url = await new Promise<string>((resolve, reject) => {
    let stdout = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const match = LISTENING.exec(stdout);
      if (match) resolve(match[1]!);
    });
    child.once('close', (code) => {
      // The server's own line; its hint is given anew below.
      const [said = ''] = stderr.replace(/^bench: /, '').split('\n', 1);
      const line = said || `the mock server ended with exit code ${code}`;
      reject(
        code === EXIT.usage
          ? usageError(`--mock-flags: ${line}`, 'see bench mock --help')
          : new BenchError(EXIT.target, line),
      );
    });
  });
  return {
    url,
    pid: child.pid,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
