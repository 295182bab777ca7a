import type { Role } from '../plan/planned.ts';
import type { PlacementFile, ProbeFile, ServiceFile, SrunFile, StackFile } from './schema.ts';

/** When the stack as a whole counts as ready. */
export interface StackReadyRule {
  readonly all: readonly ProbeFile[];
  readonly timeout: string;
  readonly interval: string;
}

/** When a service counts as ready. */
export interface ReadyRule extends StackReadyRule {
  /** How long its logs may be silent before it is ready. */
  readonly stall_timeout: string;
}

/** A service with everything said. Keys are those of the file, so that it can be printed as a file again. */
export interface Service {
  readonly role: Role;
  readonly replicas: number;
  /** Nodes of one replica. */
  readonly nodes: number;
  readonly ntasks_per_node: number;
  readonly launch: 'per_replica' | 'per_node';
  readonly placement: PlacementFile;
  readonly gpus?: NonNullable<ServiceFile['gpus']> | undefined;
  readonly engine_config?: string | undefined;
  readonly container: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
  readonly command: readonly string[];
  readonly follower_args: readonly string[];
  readonly workdir?: string | undefined;
  readonly srun: SrunFile;
  readonly ports: Readonly<Record<string, number>>;
  readonly depends_on: readonly { readonly service: string; readonly condition: 'started' | 'ready' }[];
  readonly ready: ReadyRule;
  readonly loaded_log?: string | undefined;
  readonly fail_on: NonNullable<ServiceFile['fail_on']>;
  readonly failure: { readonly critical: boolean; readonly exit_0_is_failure: boolean };
  readonly stop: { readonly signal: string; readonly grace: string };
}

/** A stack file with the preset's share filled in. Texts still hold `${…}` of what the launch alone knows. */
export interface Stack {
  /** Path of the file, as given. */
  readonly source: string;
  readonly name: string;
  readonly cluster: NonNullable<StackFile['cluster']> & {
    readonly mode: NonNullable<NonNullable<StackFile['cluster']>['mode']>;
  };
  readonly container: NonNullable<StackFile['container']> & { readonly runtime: 'pyxis' | 'none' };
  readonly model: StackFile['model'];
  readonly runtime: NonNullable<StackFile['runtime']> & {
    readonly inside: NonNullable<NonNullable<StackFile['runtime']>['inside']>;
  };
  /** In the order of start. */
  readonly services: Readonly<Record<string, Service>>;
  readonly stack_ready: StackReadyRule;
  readonly teardown: { readonly cleanup_globs: readonly string[] };
  /** Nodes that the placement needs. */
  readonly nodesNeeded: number;
  readonly warnings: readonly string[];
}

/** Something wrong, or odd, at a place of the file. */
export interface Remark {
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly level: 'error' | 'warning';
}

/** Services that hold the model. */
export const COMPUTE_ROLES: readonly Role[] = ['prefill', 'decode', 'agg'];
