import type { Options } from 'yargs';
import { EXIT, type ExitCode } from '../core/errors.ts';
import { openEmbeddedCounter } from '../datasets/index.ts';
import { MOCK_FLAGS, parseMockOptions, startMock } from '../mock/server.ts';
import { listenStamped } from './mock-listener.ts';
import { print, written } from './terminal.ts';
import type { AddVerb } from './verb.ts';

/** Options of `bench mock`, made from the mock's own table. */
export const MOCK_OPTIONS: Record<string, Options> = Object.fromEntries(
  MOCK_FLAGS.map(({ name, about, type, default: value }) => [
    name,
    { type, describe: about, ...(value === undefined ? {} : { default: value }) },
  ]),
);

/** `bench mock`: serves until a signal ends it. */
export async function runMock(args: Record<string, unknown>): Promise<ExitCode> {
  // Listened for from the start: what started it may be gone before there is a server.
  const told = new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => resolve());
    // A parent that is gone, however it went, closes the channel.
    if (process.connected) process.once('disconnect', () => resolve());
    else if (process.send !== undefined) resolve();
  });
  const server = await startMock(parseMockOptions(args), await openEmbeddedCounter(), listenStamped);
  print(`mock server listening on ${server.url}\n`);
  // Nobody would know where it listens.
  if ((await written()) === EXIT.ok) await told;
  await server.close();
  // An open channel to the parent would keep this process alive.
  if (process.connected) process.disconnect();
  return EXIT.ok;
}

/** Puts `bench mock` into the parser. */
export const addMock: AddVerb = (y, { usage, about, declare, set }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(inner, MOCK_OPTIONS).example(
        '$0 mock --ttft 200ms --step 10ms',
        'every answer after 200 ms, a token each 10 ms',
      ),
    async (argv) => set(await runMock(argv)),
  );
