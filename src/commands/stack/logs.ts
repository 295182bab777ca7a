import { createReadStream, existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { EXIT, type ExitCode, usageError } from '../../core/errors.ts';
import { plainText } from '../../stack/failure/log-line.ts';
import { whyText } from '../../stack/failure/why-text.ts';
import { LogTail } from '../../stack/launch/log-tail.ts';
import { print, written } from '../terminal.ts';
import { findStack } from './find.ts';
import { readState } from './follow.ts';

export const LOGS_OPTIONS = {
  run: { type: 'string', describe: "the stack's folder [default: the only one that is up under results/]" },
  follow: { type: 'boolean', default: false, alias: 'f', describe: 'go on until the stack is down' },
  srun: { type: 'boolean', default: false, describe: 'what srun itself said, too' },
} as const;

/** Lines of a file, one after the other: a log may be larger than memory. Only a line feed ends a line. */
async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = '';
  for await (const text of createReadStream(file, 'utf8')) {
    const lines = (rest + String(text)).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** `bench stack logs [service]`: the output of the stack's tasks, each line with its step; or why there was none. */
export async function runLogs(args: {
  service: string | undefined;
  run: string | undefined;
  follow: boolean;
  srun: boolean;
}): Promise<ExitCode> {
  // The other verbs take the folder as their word.
  const folder = args.run === undefined && args.service !== undefined && existsSync(args.service);
  const dir = findStack(folder ? args.service : args.run, 'logs');
  const service = folder ? undefined : args.service;
  const state = readState(dir);
  const steps = state.steps.filter(
    ({ id }) => service === undefined || id === service || id.replace(/-\d.*$/, '') === service,
  );
  if (service !== undefined && steps.length === 0) {
    throw usageError(
      `no service "${service}" in ${dir}`,
      `it has ${state.steps.map(({ id }) => id).join(', ') || 'no step yet'}`,
    );
  }
  const names = new Map(
    steps.flatMap(({ id }) => [
      [path.join(dir, 'logs', `${id}.log`), id] as const,
      ...(args.srun ? [[path.join(dir, 'logs', `${id}.srun.log`), `${id} srun`] as const] : []),
    ]),
  );
  const width = Math.max(0, ...[...names.values()].map((name) => name.length));
  const show = (name: string, line: string): void => {
    print(`${name.padEnd(width)} | ${plainText(line)}\n`);
  };
  if (!args.follow) {
    const written = [...names].filter(([file]) => existsSync(file) && statSync(file).size > 0);
    for (const [file, name] of written) for await (const line of linesOf(file)) show(name, line);
    if (written.length === 0)
      print(`no task wrote anything: ${state.why === null ? state.phase : whyText(state.why)}\n`);
    return EXIT.ok;
  }
  const tail = new LogTail(({ file, line }) => show(names.get(file)!, line));
  for (const file of names.keys()) tail.follow(file);
  tail.start();
  await new Promise<void>((resolve) => {
    const stop = (): void => {
      clearInterval(timer);
      resolve();
    };
    const timer = setInterval(() => {
      if (readState(dir).phase === 'stopped') stop();
      // A disk that takes no more lines is reported at the end.
      void written().then((code) => code === EXIT.ok || stop());
    }, 500);
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
  });
  await tail.stop();
  return EXIT.ok;
}
