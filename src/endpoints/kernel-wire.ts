import { lookup } from 'node:dns/promises';
import net from 'node:net';
import os from 'node:os';
import { getSystemErrorName } from 'node:util';
import { socketFailure } from './failures.ts';
import type { OpenTransport, Transport, TransportEvents } from './http-connection.ts';
import { PooledWire } from './pooled-wire.ts';
import { type HandleEvents, type Read, Receiver } from './receiver/receiver.ts';
import { secured } from './tls-transport.ts';
import type { Arrival, Target, WireFailure, WireOptions } from './wire.ts';

/** A host's next address is tried after so long, as Node's sockets do. */
const NEXT_ADDRESS_MS = 250;
const TIMED_OUT = os.constants.errno.ETIMEDOUT;

/** So long before a request is due it may be handed over, longer than Node's timers and garbage collection are late. */
const LEAD_MS = 10;

/**
 * Why a target cannot have the kernel's stamps here, in words; null where it can.
 */
export function noKernelWire(target: Target): string | null {
  if (target.socketPath !== null) return 'the kernel stamps no Unix sockets';
  const receiver = Receiver.hold();
  if (typeof receiver === 'string') return receiver;
  receiver.release();
  return null;
}

/** Keep-alive connections whose bytes are read by a thread of their own and stamped by the kernel as they arrive. */
export class KernelWire extends PooledWire {
  readonly stampedBy = 'kernel';
  readonly leadMs: number;
  readonly #receiver: Receiver;
  readonly #originMs: number;
  #addresses: Promise<readonly string[]> | null = null;
  #session: Buffer | undefined;
  #closed = false;

  /** Throws Error where `noKernelWire` has a reason. */
  constructor(options: WireOptions) {
    super(options);
    const receiver = Receiver.hold();
    if (typeof receiver === 'string') throw new Error(receiver);
    this.#receiver = receiver;
    this.#originMs = receiver.originMs(options.clock);
    options.meter.receivedBy(receiver);
    this.leadMs = options.target.tls ? 0 : LEAD_MS;
  }

  protected readonly connect: OpenTransport = (events) => {
    const { target, tls } = this.options;
    const open: OpenTransport = (inner) =>
      new KernelTransport(this.#receiver, this.#originMs, this.options, inner, () => this.#resolve());
    if (!target.tls) return open(events);
    return secured(open, events, {
      target,
      material: tls,
      session: this.#session,
      clock: this.options.clock,
      keepSession: (session) => {
        this.#session = session;
      },
    });
  };

  override async close(): Promise<void> {
    await super.close();
    if (!this.#closed) this.#receiver.release();
    this.#closed = true;
  }

  /** The host's addresses in digits, looked up once. Rejects as the system's resolver does. */
  #resolve(): Promise<readonly string[]> {
    const { host } = this.options.target;
    this.#addresses ??= (
      net.isIP(host)
        ? Promise.resolve([host])
        : lookup(host, { all: true }).then((all) => all.map(({ address }) => address))
    ).catch((error) => {
      this.#addresses = null;
      throw error;
    });
    return this.#addresses;
  }
}

/** One connection of the receiver; of a host with several addresses the first that answers. */
class KernelTransport implements Transport, HandleEvents {
  readonly #receiver: Receiver;
  readonly #originMs: number;
  readonly #options: WireOptions;
  readonly #events: TransportEvents;
  readonly #arrival = { atMs: 0, slackMs: 0, lastSlackMs: 0 } satisfies Arrival;
  #left: string[] = [];
  #address = '';
  /** −1 before there is one. */
  #handle = -1;
  #connected = false;
  #gone = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    receiver: Receiver,
    originMs: number,
    options: WireOptions,
    events: TransportEvents,
    resolve: () => Promise<readonly string[]>,
  ) {
    this.#receiver = receiver;
    this.#originMs = originMs;
    this.#options = options;
    this.#events = events;
    resolve().then(
      (addresses) => {
        this.#left = [...addresses];
        this.#connectNext(null);
      },
      (error) => this.#fail(socketFailure(error as NodeJS.ErrnoException, false)),
    );
  }

  write(bytes: Buffer): number {
    const atMs = this.#receiver.native.send(this.#handle, bytes);
    // The connection is gone, which is about to be reported.
    if (atMs < 0) return this.#options.clock.now();
    return atMs - this.#originMs;
  }

  writeAt(bytes: Buffer, atMs: number): void {
    this.#receiver.native.sendAt(this.#handle, bytes, atMs + this.#originMs);
  }

  destroy(): void {
    this.#stopTimer();
    if (this.#gone) return;
    this.#gone = true;
    if (this.#handle >= 0) this.#receiver.close(this.#handle);
  }

  opened(atMs: number): void {
    this.#stopTimer();
    this.#connected = true;
    this.#events.opened(atMs - this.#originMs);
  }

  sent(atMs: number): void {
    this.#events.sent(atMs - this.#originMs);
  }

  read(read: Read): void {
    const arrival = this.#arrival;
    arrival.atMs = read.atMs - this.#originMs;
    // One segment arrived at one instant, stamped or not; of several only the last is known by the stamp.
    const last = read.atMs - read.lowerMs;
    arrival.slackMs = read.segments === 1 ? last : read.atMs - read.sinceMs;
    arrival.lastSlackMs = last;
    this.#options.meter.arrived(read);
    this.#events.read(read.buffer, read.start, read.end, arrival);
  }

  ended(atMs: number): void {
    this.#gone = true;
    this.#events.ended(atMs - this.#originMs);
  }

  failed(errno: number, atMs: number): void {
    if (this.#connected) {
      this.#gone = true;
      this.#events.failed(this.#failure(errno), atMs - this.#originMs);
    } else this.#connectNext(errno);
  }

  #connectNext(errno: number | null): void {
    this.#stopTimer();
    if (this.#gone) return;
    const address = this.#left.shift();
    if (address === undefined) {
      this.#fail(this.#failure(errno ?? 0));
      return;
    }
    this.#address = address;
    const handle = this.#receiver.connect(address, this.#options.target.port, this);
    if (handle < 0) {
      this.#connectNext(-handle);
      return;
    }
    this.#handle = handle;
    if (this.#left.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#receiver.close(handle);
      this.#connectNext(TIMED_OUT);
    }, NEXT_ADDRESS_MS);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #fail(failure: WireFailure): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#events.failed(failure, this.#options.clock.now());
  }

  #failure(errno: number): WireFailure {
    const code = getSystemErrorName(-errno);
    const where = this.#connected ? 'read' : 'connect';
    const { port } = this.#options.target;
    const place = this.#connected
      ? ''
      : ` ${this.#address.includes(':') ? `[${this.#address}]` : this.#address}:${port}`;
    return socketFailure(Object.assign(new Error(`${where} ${code}${place}`), { code }), this.#connected);
  }
}
