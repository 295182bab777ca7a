import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorText } from '../../core/errors.ts';

/** The addon of receiver.c and binding.c. Instants are ms of CLOCK_MONOTONIC; a handle that is gone is ignored. */
export interface NativeReceiver {
  /** Starts the thread. `drain` is called when entries lie in the ring. */
  start(ringBytes: number, drain: () => void): readonly [ring: ArrayBuffer, control: ArrayBuffer];
  /** Ends the thread and closes all sockets; the buffers are empty then. */
  stop(): void;
  /** Begins to connect to an address in digits; the handle, or −errno. */
  connect(address: string, port: number): number;
  /** Listens on an address in digits; the handle, or −errno. */
  listen(address: string, port: number): number;
  /** The port of a listener. */
  port(handle: number): number;
  /** Sends, and returns the instant just before; negative for a handle that is gone. */
  send(handle: number, bytes: Uint8Array): number;
  sendAt(handle: number, bytes: Uint8Array, atMs: number): void;
  /** Bytes of `send` that the socket has not taken yet. */
  unsent(handle: number): number;
  /** Ends our side once all is sent. */
  end(handle: number): void;
  /** Closes at once. */
  close(handle: number): void;
  /** As `close`, and the peer gets a reset. */
  reset(handle: number): void;
  now(): number;
}

/** In the one-file bundle: the prebuilt addons, base64 by platform. */
declare const BENCH_RECEIVERS: Readonly<Record<string, string>> | undefined;
/** In dist/: the folder of the prebuilt addons, relative to the program, and the SHA-256 of each by platform. */
declare const BENCH_PREBUILDS:
  | { readonly folder: string; readonly sha256: Readonly<Record<string, string>> }
  | undefined;

let loaded: NativeReceiver | string | null = null;

/** The addon of this platform, or why there is none, in words. */
export function nativeReceiver(): NativeReceiver | string {
  loaded ??= load();
  return loaded;
}

function load(): NativeReceiver | string {
  const platform = `${process.platform}-${process.arch}`;
  if (process.platform !== 'linux') return `the kernel's stamps are read on Linux only, this is ${platform}`;
  try {
    return typeof BENCH_RECEIVERS === 'undefined'
      ? fromFolder(platform)
      : fromBundle(BENCH_RECEIVERS[platform]);
  } catch (error) {
    return `the receiver for ${platform} cannot be loaded: ${errorText(error).split('\n', 1)[0]}`;
  }
}

/** A library that is cut short or damaged ends the process as it is loaded, so its bytes are compared before. */
function fromFolder(platform: string): NativeReceiver {
  const { folder, sha256 } =
    typeof BENCH_PREBUILDS === 'undefined' ? { folder: './prebuilds/', sha256: null } : BENCH_PREBUILDS;
  const file = fileURLToPath(new URL(`${folder}${platform}/receiver.node`, import.meta.url));
  if (sha256 !== null) {
    const actual = createHash('sha256').update(readFileSync(file)).digest('hex');
    if (actual !== sha256[platform]) throw new Error(`${file} is not the file of this version`);
  }
  return open(file);
}

/** A library can be loaded from a file only: one that no other user can write, and that is gone as soon as it is loaded. */
function fromBundle(encoded: string | undefined): NativeReceiver {
  if (encoded === undefined) throw new Error('none was built');
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bench-receiver-'));
  try {
    const file = path.join(folder, 'receiver.node');
    writeFileSync(file, Buffer.from(encoded, 'base64'), { mode: 0o700 });
    return open(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function open(file: string): NativeReceiver {
  const module = { exports: {} as NativeReceiver };
  process.dlopen(module, file);
  return module.exports;
}
