/** Lines in which engines tell their version, by the name under which it is kept. */
const TOLD: readonly (readonly [string, RegExp])[] = [
  ['tensorrt-llm', /TensorRT[- ]LLM(?:\])?(?:[^\n]{0,40}?) version:? v?(\d[\w.+]*)/i],
  ['vllm', /\bvLLM (?:API server |engine |LLM engine )?(?:\()?v?(?:ersion )?v?(\d+\.\d[\w.+]*)/i],
  ['sglang', /\bsglang(?:[^\n]{0,20}?)version[=: ]+v?(\d[\w.+]*)/i],
  ['dynamo', /\bdynamo(?:[ _-]runtime)?[ _]version[=: ]+"?v?(\d[\w.+-]*)/i],
];

/** Packages whose versions decide what is measured. */
const PACKAGES = [
  'ai-dynamo',
  'ai-dynamo-runtime',
  'tensorrt-llm',
  'vllm',
  'sglang',
  'transformers',
] as const;

/** Versions that a line of a log tells, by name; empty as a rule. */
export function versionsIn(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    TOLD.flatMap(([name, pattern]) => {
      const version = pattern.exec(text)?.[1];
      return version === undefined ? [] : [[name, version]];
    }),
  );
}

/** A command that prints `name version` of the packages that a Python has, without importing any of them. */
export function packageVersionsCommand(python: string): readonly string[] {
  const program = [
    'import importlib.metadata as m',
    `for n in ${JSON.stringify(PACKAGES)}:`,
    '  try: print(n, m.version(n))',
    '  except m.PackageNotFoundError: pass',
  ].join('\n');
  return [python, '-c', program];
}

/** Reads what that command printed; other lines are passed over. */
export function parsePackageVersions(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text.split('\n').flatMap((line) => {
      const [, name, version] = /^(\S+) (\d\S*)$/.exec(line.trim()) ?? [];
      return PACKAGES.some((known) => known === name) ? [[name!, version!]] : [];
    }),
  );
}
