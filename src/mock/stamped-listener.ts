/** A connection of a listener that stamps what arrives. Once it is gone, calls do nothing. */
export interface StampedConnection {
  /** Sends what the system takes now, the rest as soon as it does. */
  send(bytes: Uint8Array): void;
  /** Bytes of `send` that the system has not taken yet. */
  unsent(): number;
  /** Ends our side once all is sent. */
  end(): void;
  /** Closes at once. */
  close(): void;
  /** As `close`, and the peer gets a reset. */
  reset(): void;
}

/** Takes what happens on a connection. */
export interface ConnectionEvents {
  /** Bytes, the last of which arrived at `atMs` of `processClock`. */
  arrived(bytes: Buffer, atMs: number): void;
  ended(): void;
  failed(error: Error): void;
}

export interface StampedListener {
  readonly port: number;
  /** Takes no more connections. */
  stop(): void;
  /** Called last, when all connections have been closed. Afterwards the port is free. */
  release(): Promise<void>;
}

/** Listens on an address; null where that is not possible with stamps, or not at all. */
export type ListenStamped = (
  host: string,
  port: number,
  accept: (connection: StampedConnection) => ConnectionEvents,
) => StampedListener | null;
