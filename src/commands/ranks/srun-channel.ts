import { type ChildProcess, spawn } from 'node:child_process';
import os from 'node:os';
import { errorText } from '../../core/errors.ts';
import { isScrubbed } from '../../core/slurm-env.ts';
import type { SlurmPlace } from '../load-plan.ts';
import { OWN_VERBS } from '../own-verbs.ts';
import { endOf, type RankChannel, type RankListener } from './channel.ts';
import { type Answer, eachLine, encodeMessage, MessageReader, type Order } from './protocol.ts';

/** srun's words for a signal, and the signal. */
const SIGNALS: Readonly<Record<string, NodeJS.Signals>> = {
  Killed: 'SIGKILL',
  Terminated: 'SIGTERM',
  Aborted: 'SIGABRT',
  Interrupt: 'SIGINT',
  Hangup: 'SIGHUP',
  'Bus error': 'SIGBUS',
  'Segmentation fault': 'SIGSEGV',
  'Illegal instruction': 'SIGILL',
};

/**
 * The command that starts all ranks as one step. The step shares the nodes with whatever runs on them, and
 * is not bound to processors: each rank has helpers of its own. Standard input goes to all ranks.
 */
export function srunCommand(place: SlurmPlace, tasks: number, name: string): string[] {
  return [
    'srun',
    `--jobid=${place.job}`,
    '--overlap',
    `--nodes=${place.nodes}`,
    `--ntasks=${tasks}`,
    // Told for an uneven spread, srun says that it cannot be done and spreads all the same.
    ...(tasks % place.nodes === 0 ? [`--ntasks-per-node=${tasks / place.nodes}`] : []),
    ...(place.nodelist === null ? [] : [`--nodelist=${place.nodelist.join(',')}`]),
    // A level of few slots, which uses the first ranks, then still uses several nodes.
    '--distribution=cyclic',
    '--cpu-bind=none',
    '--mpi=none',
    '--export=ALL',
    '--label',
    '--kill-on-bad-exit=1',
    '--input=all',
    '-J',
    `${name.replaceAll(/[^\w.-]/g, '_')}.load`,
    process.execPath,
    process.argv[1]!,
    OWN_VERBS.loadRank,
  ];
}

/** Ranks as the tasks of one SLURM step, through srun's own pipes: no port is opened. */
export class SrunChannel implements RankChannel {
  readonly #command: readonly string[];
  readonly #readers = new Map<number, MessageReader<Answer>>();
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();
  #lastError = '';

  constructor(place: SlurmPlace, tasks: number, name: string) {
    this.#command = srunCommand(place, tasks, name);
  }

  start(listener: RankListener): void {
    const [file, ...words] = this.#command;
    const child = spawn(file!, words, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !isScrubbed(name))),
      // At Ctrl-C in a terminal srun would act by itself; the coordinator tells its ranks what to do.
      detached: true,
    });
    this.#child = child;
    child.stdin.on('error', () => undefined);
    eachLine(child.stdout, (line) => this.#heard(line, listener));
    eachLine(child.stderr, (line) => this.#complained(line, listener));
    this.#ended = new Promise((resolve) => {
      const ended = (how: string): void => {
        listener.ended({ rank: null, host: null, how });
        resolve();
      };
      child.once('error', (error: NodeJS.ErrnoException) =>
        ended(error.code === 'ENOENT' ? 'there is no srun on this host' : errorText(error)),
      );
      child.once('close', (code, signal) => {
        const number = signal === null ? undefined : os.constants.signals[signal];
        const said = this.#lastError === '' ? '' : `: ${this.#lastError}`;
        ended(`${endOf(code, signal, number)} of srun${said}`);
      });
    });
  }

  send(order: Order): void {
    if (this.#child?.stdin?.writable) this.#child.stdin.write(encodeMessage(order));
  }

  async close(graceMs: number): Promise<void> {
    const child = this.#child;
    child?.stdin?.end();
    // srun takes SIGTERM for an order to kill the step; without srun, what it left behind does so.
    const timers = [
      setTimeout(() => child?.kill('SIGTERM'), graceMs),
      setTimeout(() => child?.kill('SIGKILL'), 2 * graceMs),
    ];
    await this.#ended;
    for (const timer of timers) clearTimeout(timer);
  }

  #heard(line: string, listener: RankListener): void {
    const labelled = readLabel(line);
    if (labelled === null) {
      listener.logged(line);
      return;
    }
    const { rank, text } = labelled;
    const reader = this.#readers.get(rank) ?? new MessageReader<Answer>();
    this.#readers.set(rank, reader);
    const answer = reader.take(text);
    if (answer === undefined) listener.logged(line);
    else if (answer !== null) listener.answered(rank, answer);
  }

  #complained(line: string, listener: RankListener): void {
    listener.logged(line);
    const end = readTaskEnd(line);
    if (end !== null) listener.ended(end);
    const error = /^srun: error: (.*)/.exec(line)?.[1];
    if (error !== undefined) this.#lastError = error;
  }
}

/** The task number that `--label` puts before a line, padded to the widest; null for a line without. */
export function readLabel(line: string): { readonly rank: number; readonly text: string } | null {
  const match = /^ *(\d+): (.*)$/s.exec(line);
  return match === null ? null : { rank: Number(match[1]), text: match[2]! };
}

/** The end of a task that srun complains of, as in `srun: error: node2: task 1: Killed`; of several the first. */
export function readTaskEnd(
  line: string,
): { readonly rank: number; readonly host: string; readonly how: string } | null {
  const match = /^srun: error: (\S+): tasks? (\d+)[\d,-]*: (.+)$/.exec(line);
  if (match === null) return null;
  const [, host, rank, said] = match as unknown as [string, string, string, string];
  const code = /^Exited with exit code (\d+)$/.exec(said)?.[1];
  const signal = SIGNALS[said.replace(/ \(core dumped\)$/, '')];
  const how =
    code !== undefined
      ? `exit code ${code}`
      : signal !== undefined
        ? endOf(null, signal, os.constants.signals[signal])
        : said;
  return { rank: Number(rank), host, how };
}
