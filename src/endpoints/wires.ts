import { usageError } from '../core/errors.ts';
import type { WireName } from '../core/spec.ts';
import { KernelWire, noKernelWire } from './kernel-wire.ts';
import { SocketWire } from './socket-wire.ts';
import { UndiciWire } from './undici-wire.ts';
import type { Target, Wire, WireOptions } from './wire.ts';

/** What carries the streams of a run: all its targets have the same. */
export interface WireChoice {
  readonly stampedBy: Wire['stampedBy'];
  /** Why `auto` has not got the kernel's stamps, in a sentence; null where it has, or was not asked. */
  readonly fallback: string | null;
  /** Whether they go by the proxies of the environment. */
  readonly usesProxies: boolean;
  make(options: WireOptions): Wire;
}

/** Exit 2 where `kernel` was asked for and cannot be had. */
export function chooseWires(name: WireName, targets: readonly Target[]): WireChoice {
  if (name === 'undici')
    return {
      stampedBy: 'process',
      fallback: null,
      usesProxies: true,
      make: (options) => new UndiciWire(options),
    };
  const socket = {
    stampedBy: 'process',
    usesProxies: false,
    make: (options: WireOptions) => new SocketWire(options),
  } as const;
  if (name === 'socket') return { ...socket, fallback: null };
  const [reason = null] = targets.flatMap((target) => noKernelWire(target) ?? []);
  if (reason === null)
    return {
      stampedBy: 'kernel',
      fallback: null,
      usesProxies: false,
      make: (options) => new KernelWire(options),
    };
  if (name === 'kernel') throw usageError(`--wire kernel: ${reason}`, 'leave it out, or use --wire socket');
  return { ...socket, fallback: `time stamps are those of the event loop, not the kernel's: ${reason}` };
}
