import { spawn } from 'node:child_process';
import type { Options } from 'yargs';
import { BenchError, EXIT, type ExitCode, usageError } from '../core/errors.ts';
import { openEmbeddedCounter } from '../datasets/index.ts';
import { MOCK_FLAGS, parseMockOptions, startMock } from '../mock/server.ts';

/** Options of `bench mock`, made from the mock's own table. */
export const MOCK_OPTIONS: Record<string, Options> = Object.fromEntries(
  MOCK_FLAGS.map(({ name, about, type, default: value }) => [
    name,
    { type, describe: about, ...(value === undefined ? {} : { default: value }) },
  ]),
);

const LISTENING = /listening on (\S+)/;

/** `bench mock`: serves until a signal ends it. */
export async function runMock(args: Record<string, unknown>): Promise<ExitCode> {
  const server = await startMock(parseMockOptions(args), await openEmbeddedCounter());
  process.stdout.write(`mock server listening on ${server.url}\n`);
  await new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => resolve());
    // A parent that is gone, however it went, closes the channel.
    if (process.connected) process.once('disconnect', () => resolve());
  });
  await server.close();
  // An open channel to the parent would keep this process alive.
  if (process.connected) process.disconnect();
  return EXIT.ok;
}

export interface MockProcess {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts `bench mock` on a free port in a process of its own, so that it does not share the sender's core. */
export async function startMockProcess(flags: string): Promise<MockProcess> {
  const words = flags.split(/\s+/).filter((word) => word !== '');
  const child = spawn(process.execPath, [process.argv[1]!, 'mock', '--port', '0', ...words], {
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
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
