import type { ProbeFile, ServiceFile, StackFile } from '../file/schema.ts';
import type { Remark } from '../file/stack.ts';
import type { Role } from '../plan/planned.ts';

/** What a preset knows of a stack before it fills it in. */
export interface PresetInput {
  readonly file: StackFile;
  readonly local: boolean;
  /** Role of every service of the file. */
  readonly roles: ReadonlyMap<string, Role>;
}

/** What a preset says where the file says nothing. */
export interface Expansion {
  readonly runtime: NonNullable<StackFile['runtime']> & {
    readonly inside: NonNullable<NonNullable<StackFile['runtime']>['inside']>;
  };
  /** Services that the file does not name (etcd, NATS); they start first. */
  readonly infra: Readonly<Record<string, ServiceFile>>;
  readonly services: Readonly<Record<string, ServiceFile>>;
  readonly stackReady: {
    readonly all: readonly ProbeFile[];
    readonly timeout: string;
    readonly interval: string;
  };
  readonly cleanupGlobs: readonly string[];
  readonly remarks: readonly Remark[];
}

export interface Preset {
  readonly name: NonNullable<StackFile['preset']>;
  readonly about: string;
  readonly expand: (input: PresetInput) => Expansion;
}
