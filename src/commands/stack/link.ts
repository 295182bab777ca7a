import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { BenchError, EXIT, usageError } from '../../core/errors.ts';
import type { StackFacts } from '../../core/report.ts';
import { whyLine } from '../../stack/failure/why-text.ts';
import { sleep } from '../../stack/launch/allocation.ts';
import type { StackState } from '../../stack/launch/state.ts';
import { readState, serves, stackLine, supervisorLives, tryReadState, watchState } from './follow.ts';

const LOOK_EVERY_MS = 250;

export interface VerdictOptions {
  /** How long to wait while the watch misses something [default: as long as without]. */
  readonly decideWithinMs?: number;
  readonly looks?: number;
  /** Ends the wait. */
  readonly stop?: AbortSignal;
}

/** The stack that a run measures, watched from the measuring process by a glance at a file. */
export class StackLink {
  readonly dir: string;
  readonly #lost = new AbortController();
  readonly #unwatch: () => void;
  readonly #timer: NodeJS.Timeout;
  #state: StackState;
  #reason: string | null = null;
  #missing: string | null = null;

  /** Exit 2 when the folder holds no stack, 4 when the stack in it does not serve. */
  constructor(dir: string) {
    this.dir = dir;
    this.#state = readState(dir);
    if (!serves(this.#state)) {
      const { phase, why } = this.#state;
      const orphan = why === null && phase === 'ready';
      throw new BenchError(
        EXIT.launch,
        `the stack in ${dir} is not up: ${orphan ? 'its supervisor is gone' : why === null ? phase : whyLine(why)}`,
        orphan ? `end it: ${stackLine('down', dir)}` : `see ${stackLine('status', dir)}`,
      );
    }
    this.#unwatch = watchState(dir, LOOK_EVERY_MS, (state) => {
      this.#state = state;
      this.#look();
    });
    // A supervisor that was killed writes nothing any more.
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS * 4);
    this.#timer.unref();
  }

  get state(): StackState {
    return this.#state;
  }

  /** Aborts when the stack fails, is torn down, or nobody looks after it any more. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Why it was lost; null while it serves. */
  get lostReason(): string | null {
    const { why } = this.#state;
    return this.#reason !== null && why !== null ? whyLine(why) : this.#reason;
  }

  /**
   * Resolves when it is clear whether the stack has failed: once it was lost and the first cause is known, or once the watch has
   * looked `looks` times anew and missed nothing; else after `withinMs`, and while the watch misses something after
   * `decideWithinMs`. For after requests have failed, which logs and watch explain a moment later.
   */
  async verdict(
    withinMs: number,
    { decideWithinMs = withinMs, looks = 2, stop }: VerdictOptions = {},
  ): Promise<void> {
    const startMs = performance.now();
    const before = this.#state.watch;
    const enough = (before?.looks ?? 0) + looks;
    for (;;) {
      const { why, phase, watch } = this.#state;
      const open = watch !== undefined && watch.missing.length + watch.silent.length > 0;
      if (this.#reason !== null && (why !== null || phase !== 'failing')) return;
      if (this.#reason === null && watch !== undefined && watch.looks >= enough && !open) return;
      const undecided = open && this.#reason === null;
      if (performance.now() - startMs >= (undecided ? Math.max(withinMs, decideWithinMs) : withinMs)) return;
      if (stop?.aborted) return;
      await sleep(LOOK_EVERY_MS / 5);
    }
  }

  /** What the frontend said was missing since the last call, although the stack has not failed; null when nothing. */
  takeMissing(): string | null {
    const missing = this.#missing;
    this.#missing = null;
    return missing;
  }

  /** Why it was lost, null while it serves. Waits up to `withinMs` for the first cause when it has just failed. */
  async whyLost(withinMs: number): Promise<string | null> {
    if (this.#reason === null) return null;
    await this.verdict(withinMs);
    return this.lostReason;
  }

  /** Milliseconds until the allocation ends; null when that is not known. */
  get leftMs(): number | null {
    const endsAt = this.#state.job?.endsAt ?? null;
    return endsAt === null ? null : Date.parse(endsAt) - Date.now();
  }

  /** What the report tells of the stack. */
  facts(): StackFacts {
    const { name, run, mode, job, startupS, why, warnings, gpus, versions, drivers, gpuClocks, image } =
      this.#state;
    return {
      name,
      run,
      ...fileHashOf(this.dir),
      dir: this.dir,
      mode,
      jobId: job?.id ?? null,
      nodes: job?.nodes ?? [],
      gpus,
      startupS,
      failure: why === null ? null : whyLine(why),
      warnings,
      versions,
      drivers,
      ...(gpuClocks === undefined ? {} : { gpuClocks }),
      image,
    };
  }

  close(): void {
    this.#unwatch();
    clearInterval(this.#timer);
  }

  #look(): void {
    if (this.#reason !== null) return;
    const missing = this.#state.watch?.missing ?? [];
    if (missing.length > 0) this.#missing = missing.join('; ');
    // A supervisor that is gone may have written since the last glance why.
    if (!supervisorLives(this.#state)) this.#state = tryReadState(this.dir) ?? this.#state;
    const { phase, why } = this.#state;
    if (why !== null) this.#reason = whyLine(why);
    else if (phase === 'failing') this.#reason = 'a service of the stack has failed';
    else if (phase !== 'ready') this.#reason = `the stack was torn down (${phase})`;
    else if (!supervisorLives(this.#state)) this.#reason = 'the supervisor of the stack is gone';
    if (this.#reason !== null) this.#lost.abort();
  }
}

/** The hash of what was launched: the stack file and the engine files beside it; empty where they were not kept. */
function fileHashOf(dir: string): Pick<StackFacts, 'fileHash'> {
  const file = path.join(dir, 'stack.yaml');
  const engine = path.join(dir, 'engine');
  if (!existsSync(file)) return {};
  const names = existsSync(engine) ? readdirSync(engine).sort() : [];
  const hash = createHash('sha256').update(readFileSync(file));
  for (const name of names) hash.update(name).update(readFileSync(path.join(engine, name)));
  return { fileHash: hash.digest('hex') };
}

/** The address of the stack's frontend. Exit 2 when the stack file gave none. */
export function urlOf(state: StackState): string {
  if (state.url !== null) return state.url;
  throw usageError('the stack has no frontend', 'say where requests go: --url');
}
