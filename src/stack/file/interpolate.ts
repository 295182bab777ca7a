/** `$${` is a literal `${`; `${name}` is filled in. */
const REFERENCE = /\$\$\{|\$\{([^}]*)\}?/g;

/** Names of values that are known when a stack is planned, in any place of the file. */
export const STACK_VALUES = [
  'head.node',
  'head.ip',
  'head.bind',
  'run.id',
  'run.dir',
  'run.scratch',
  'job.id',
  'model.path',
  'model.served_name',
  'stack.url',
] as const;

/** Names that a service alone has; `ports.NAME` comes on top. */
export const SERVICE_VALUES = [
  'service.name',
  'service.index',
  'service.nodes',
  'service.nodelist',
  'service.engine_config',
  'node.name',
  'node.ip',
  'node.rank',
  'leader.node',
  'leader.address',
] as const;

/** Names within `${…}`, in the order of the text. */
export function referencesOf(text: string): string[] {
  return [...text.matchAll(REFERENCE)].filter(([all]) => all !== '$${').map(([, name]) => name ?? '');
}

/** Fills in every `${name}`. Throws a RangeError for a name without a value: the reader has refused it before. */
export function fill(text: string, valueFor: (name: string) => string | undefined): string {
  return text.replace(REFERENCE, (all: string, name: string | undefined) => {
    if (all === '$${') return '${';
    const value = valueFor(name ?? '');
    if (value === undefined) throw new RangeError(`no value for ${all}`);
    return value;
  });
}

export interface EnvironmentFilled {
  readonly text: string;
  /** Variables that are asked for, have no value and no default. */
  readonly missing: readonly string[];
  /** Variables whose value came into the text. */
  readonly used: readonly string[];
}

/** Fills in `${env:NAME}` and `${env:NAME:-default}` and leaves every other reference as it stands. */
export function fillEnvironment(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): EnvironmentFilled {
  const missing: string[] = [];
  const used: string[] = [];
  const filled = text.replace(REFERENCE, (all: string, reference: string | undefined) => {
    const match = /^env:(\w+)(?::-(.*))?$/s.exec(reference ?? '');
    if (match === null) return all;
    const [, name, fallback] = match as unknown as [string, string, string | undefined];
    const value = env[name];
    if (value !== undefined && value !== '') {
      used.push(name);
      return value.replaceAll('${', '$${');
    }
    if (fallback === undefined) missing.push(name);
    return fallback ?? '';
  });
  return { text: filled, missing, used };
}
