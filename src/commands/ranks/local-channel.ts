import { type ChildProcess, spawn } from 'node:child_process';
import os from 'node:os';
import { errorText } from '../../core/errors.ts';
import { OWN_VERBS } from '../own-verbs.ts';
import { endOf, type RankChannel, type RankListener } from './channel.ts';
import { type Answer, eachLine, encodeMessage, MessageReader, type Order } from './protocol.ts';

/** Ranks as child processes of this one, each with its own pipes. */
export class LocalChannel implements RankChannel {
  readonly #ranks: number;
  readonly #children: ChildProcess[] = [];
  readonly #ends: Promise<void>[] = [];

  constructor(ranks: number) {
    this.#ranks = ranks;
  }

  start(listener: RankListener): void {
    for (let rank = 0; rank < this.#ranks; rank++) this.#startOne(rank, listener);
  }

  send(order: Order): void {
    const lines = encodeMessage(order);
    for (const { stdin } of this.#children) if (stdin?.writable) stdin.write(lines);
  }

  async close(graceMs: number): Promise<void> {
    for (const { stdin } of this.#children) stdin?.end();
    const kill = setTimeout(() => {
      for (const child of this.#children) child.kill('SIGKILL');
    }, graceMs);
    await Promise.all(this.#ends);
    clearTimeout(kill);
  }

  #startOne(rank: number, listener: RankListener): void {
    const child = spawn(process.execPath, [process.argv[1]!, OWN_VERBS.loadRank, String(rank)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Ctrl-C in a terminal reaches the whole group; the coordinator tells its ranks what to do.
      detached: true,
    });
    this.#children.push(child);
    // A rank that died breaks its pipe; its end is told below.
    child.stdin.on('error', () => undefined);
    const reader = new MessageReader<Answer>();
    const log = (line: string): void => listener.logged(`${rank}: ${line}`);
    eachLine(child.stdout, (line) => {
      const answer = reader.take(line);
      if (answer === undefined) log(line);
      else if (answer !== null) listener.answered(rank, answer);
    });
    eachLine(child.stderr, log);
    this.#ends.push(
      new Promise((resolve) => {
        const ended = (how: string): void => {
          listener.ended({ rank, host: os.hostname(), how });
          resolve();
        };
        child.once('error', (error) => ended(errorText(error)));
        child.once('close', (code, signal) =>
          ended(endOf(code, signal, signal === null ? undefined : os.constants.signals[signal])),
        );
      }),
    );
  }
}
