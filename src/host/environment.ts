import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { Provenance } from '../core/report.ts';
import { publicQuery, publicUrls, withoutSecrets } from '../core/secrets.ts';

/** Options whose value is a secret; values of `--header` and `--query` may be. */
const SECRET_OPTIONS = new Set(['--api-key', '--header', '-H', '--query']);
const SLURM_NAMES = [
  'SLURM_JOB_ID',
  'SLURM_JOB_NODELIST',
  'SLURM_JOB_NAME',
  'SLURM_CLUSTER_NAME',
  'SLURMD_NODENAME',
];

/** The command line as it was typed, with the values of secret options replaced by `***`. */
export function redactCommand(args: readonly string[]): string {
  let secretNext: string | null = null;
  const words = args.map((arg) => {
    if (secretNext !== null) {
      const option = secretNext;
      // A list of headers ends at the next option.
      if (!isHeaderList(option)) secretNext = null;
      if (!isHeaderList(option) || !arg.startsWith('--')) return redactValue(option, arg);
      secretNext = null;
    }
    const equals = arg.indexOf('=');
    const name = equals < 0 ? arg : arg.slice(0, equals);
    if (!SECRET_OPTIONS.has(name) && !isHeaderList(name)) return publicUrls(redactJson(arg));
    if (equals < 0) {
      secretNext = name;
      return arg;
    }
    return `${name}=${redactValue(name, arg.slice(equals + 1))}`;
  });
  return ['bench', ...words.map(quote)].join(' ');
}

/** `--header` or what sglang's parser takes for it; it may take several values. */
function isHeaderList(name: string): boolean {
  return /^--head?(?:er?)?$/.test(name);
}

/** Of a header `Name: value` the name may be seen; of a key nothing. */
function redactValue(option: string, value: string): string {
  if (option === '--api-key') return '***';
  if (option === '--query') return publicQuery(value.replace(/^[?&]+/, ''));
  const name = /^[A-Za-z0-9-]+(?=\s*[:=])/.exec(value);
  return name ? `${name[0]}: ***` : '***';
}

/** A JSON object among the words, as of a request body, without the secrets in it. */
function redactJson(word: string): string {
  const at = /^(?:--[\w-]+=)?\s*(?=\{)/.exec(word)?.[0].length;
  return at === undefined ? word : word.slice(0, at) + String(withoutSecrets(word.slice(at)));
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Where and with what this process runs. `version` is the harness's own. */
export function readProvenance(args: readonly string[], version: string): Provenance {
  const cpus = os.cpus();
  const slurm = Object.fromEntries(
    SLURM_NAMES.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  );
  return {
    command: redactCommand(args),
    bench: version,
    node: process.version,
    os: `${os.type()} ${os.release()}`,
    arch: process.arch,
    host: os.hostname(),
    // Without /proc there is no list of them.
    cpus: cpus.length || os.availableParallelism(),
    cpuModel: cpus[0]?.model.trim() ?? 'unknown',
    memoryBytes: os.totalmem(),
    git: readGit(),
    slurm: Object.keys(slurm).length > 0 ? slurm : null,
  };
}

/** State of the git checkout that the command was typed in, null outside of one. */
function readGit(): Provenance['git'] {
  const git = (...words: string[]): string =>
    execFileSync('git', words, {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 2_000,
      encoding: 'utf8',
    }).trim();
  try {
    return {
      commit: git('rev-parse', 'HEAD'),
      dirty: git('status', '--porcelain', '--untracked-files=no') !== '',
    };
  } catch {
    return null;
  }
}

/** Soft limit of open files, null where the system does not say. Node raises it to the hard limit at start. */
export function openFileLimit(): number | null {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const match = /^Max open files\s+(\d+)/m.exec(limits);
    return match ? Number(match[1]) : null;
  } catch {
    return null;
  }
}
