import type { Clock } from '../../core/clock.ts';
import type { FinishedRequest } from '../../core/record-builder.ts';
import type { LevelHooks } from '../level.ts';
import type { ServingArgs } from './arguments.ts';
import type { ServerInfo, ServingServer } from './server.ts';

/** What `bench serving` does and keeps around its one level. */
export class ServingWatch implements LevelHooks {
  readonly keepText = true;
  /** What went wrong beside the requests. */
  readonly warnings: string[] = [];
  /** Measured requests in the order of sending, tokens counted; empty until the level ended. */
  requests: readonly FinishedRequest[] = [];
  server: ServerInfo = { info: null, acceptLength: null };
  /** When sglang would stop its clock: after it asked for the server's info. */
  clockStoppedAtMs = 0;
  readonly #args: ServingArgs;
  readonly #server: ServingServer;
  readonly #clock: Clock;
  readonly #say: (line: string) => void;

  constructor(args: ServingArgs, server: ServingServer, clock: Clock, say: (line: string) => void) {
    this.#args = args;
    this.#server = server;
    this.#clock = clock;
    this.#say = say;
  }

  async warmedUp(): Promise<void> {
    if (!this.#args.flushCache) return;
    const wrong = await this.#server.flushCache();
    if (wrong === null) return;
    this.warnings.push(wrong);
    this.#say(`warning: ${wrong}`);
  }

  async loadEnded(): Promise<void> {
    this.clockStoppedAtMs = this.#clock.now();
    this.server = await this.#server.info();
    // The accept length is asked of sglang alone, and before its clock stops.
    if (this.#args.backend.includes('sglang')) this.clockStoppedAtMs = this.#clock.now();
    else this.server = { ...this.server, acceptLength: null };
  }

  ended({ record }: FinishedRequest): void {
    if (!this.#args.printRequests || record.phase !== 'measured') return;
    const at = (ms: number | null): string => (ms === null ? 'never' : `${(ms / 1_000).toFixed(3)} s`);
    this.#say(
      `request ${record.requestId}: sent at ${at(record.sentAtMs)}, first output at ${at(record.firstAtMs)}, ` +
        `ended at ${at(record.endAtMs)}: ${record.outcome}${record.detail === null ? '' : ` (${record.detail})`}`,
    );
  }

  counted(requests: readonly FinishedRequest[]): void {
    this.requests = requests
      .filter(({ record }) => record.phase === 'measured')
      .toSorted((a, b) => a.record.id - b.record.id);
  }
}
