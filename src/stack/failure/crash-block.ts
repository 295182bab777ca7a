import { type FailurePattern, matchFailure, PLAIN_CRASH } from './failure-patterns.ts';

const TRACEBACK = /^(.*?)Traceback \(most recent call last\):/;
const PANIC = /\bpanicked at\b/;
const TERMINATE = /^terminate called (?:after|without)/;
const CHAIN = /^(?:During handling of the above exception|The above exception was the direct cause)/;
/** The last line of a traceback: a dotted name, alone or with a text. */
const EXCEPTION = /^[A-Za-z_][\w.]*(?::(?: .*)?)?$/;
/** Lines among the frames that belong to somebody else, after which the traceback counts as torn. */
const MOST_STRANGERS = 5;
/** Before a traceback that the program has caught and goes on after. */
const IGNORED = /^Exception ignored in/;
/** In a line before a traceback, which may then be part of the same message, or of the line itself, where it surely is. */
const LOGGED = /\b(?:WARN|WARNING|DEBUG)\b/;
/** The outermost frame of a program that was started with `python -m`: only uncaught exceptions reach it. */
const UNCAUGHT = /, in _run_module_as_main$/;

/** What a crash that goes over several lines comes to. */
export interface Crash {
  /** The exception, panic or message in one line. */
  readonly message: string;
  readonly meaning: FailurePattern;
  /** The lines that name it: the one it began with, and those of its exceptions or message. */
  readonly telling: readonly string[];
}

/** Collects the lines of one crash of one process; made by `openCrash`. */
export interface CrashBlock {
  /** Takes the next line of the same process; false when it is not part of the crash, which is over then. */
  add(text: string): boolean;
  /** Whether it is open if the program has caught it: it has when it writes on, and has not when these were its last words. */
  readonly isOpen: boolean;
  /** What it was; null when it was one that the program has caught. `lastWords`: nothing was written after it. */
  end(lastWords: boolean): Crash | null;
}

/** A block when the line begins a Python traceback, a Rust panic or a C++ termination; else null. */
export function openCrash(text: string, previous: string | null): CrashBlock | null {
  const traceback = TRACEBACK.exec(text);
  if (traceback !== null) {
    const prefix = traceback[1]!;
    if (LOGGED.test(prefix) || (previous !== null && IGNORED.test(previous)))
      return new Traceback(text, prefix, 'caught');
    return new Traceback(text, prefix, previous !== null && LOGGED.test(previous) ? 'open' : 'not caught');
  }
  return PANIC.test(text) || TERMINATE.test(text) ? new NativeCrash(text) : null;
}

/** A Python traceback, with those it was raised from. */
class Traceback implements CrashBlock {
  readonly #first: string;
  readonly #prefix: string;
  #fate: 'caught' | 'open' | 'not caught';
  readonly #exceptions: string[] = [];
  #part: 'frames' | 'message' | 'chain' = 'frames';
  #strangers = 0;

  constructor(first: string, prefix: string, fate: 'caught' | 'open' | 'not caught') {
    this.#first = first;
    this.#prefix = prefix;
    this.#fate = fate;
  }

  get isOpen(): boolean {
    return this.#fate === 'open';
  }

  add(line: string): boolean {
    const text = this.#withoutPrefix(line);
    if (TRACEBACK.test(text)) {
      if (this.#part === 'message') return false;
      this.#part = 'frames';
      return true;
    }
    if (CHAIN.test(text)) {
      this.#part = 'chain';
      return true;
    }
    if (this.#fate === 'open' && this.#part === 'frames' && UNCAUGHT.test(text)) this.#fate = 'not caught';
    if (text === '' || /^\s/.test(text)) return true;
    if (this.#part !== 'frames') return false;
    if (EXCEPTION.test(text)) {
      this.#exceptions.push(text);
      this.#part = 'message';
      return true;
    }
    this.#strangers++;
    return this.#strangers <= MOST_STRANGERS;
  }

  end(lastWords: boolean): Crash | null {
    if (this.#fate === 'caught' || (this.#fate === 'open' && !lastWords)) return null;
    const first = this.#exceptions[0] ?? 'a Python traceback without its last line';
    const last = this.#exceptions.at(-1) ?? first;
    const message = last === first ? last : `${last} (after ${first})`;
    const meanings = this.#exceptions.map(matchFailure).filter((meaning) => meaning !== null);
    const meaning = meanings.find(({ strength }) => strength === 'cause') ?? meanings[0] ?? PLAIN_CRASH;
    const telling = [this.#first, ...this.#exceptions];
    return { message, meaning: this.isOpen ? { ...meaning, action: 'warn' } : meaning, telling };
  }

  /** Loggers put their time and name before each line of a traceback; the time may change on the way. */
  #withoutPrefix(line: string): string {
    const length = this.#prefix.length;
    if (length === 0 || line.slice(0, 4) !== this.#prefix.slice(0, 4)) return line;
    return line.slice(length);
  }
}

/** A panic or a termination: the message stands on the line itself or on the next. */
class NativeCrash implements CrashBlock {
  readonly isOpen = false;
  readonly #first: string;
  #next: string | null = null;

  constructor(first: string) {
    this.#first = first;
  }

  add(text: string): boolean {
    if (this.#next !== null) return false;
    this.#next = text.trim();
    return true;
  }

  end(): Crash {
    const whole = this.#first.endsWith(':') || TERMINATE.test(this.#first);
    const message = whole && this.#next !== null ? `${this.#first} ${this.#next}` : this.#first;
    const told = matchFailure(this.#next ?? '');
    return {
      message,
      meaning: told?.strength === 'cause' ? told : PLAIN_CRASH,
      telling: [this.#first, this.#next ?? ''],
    };
  }
}
