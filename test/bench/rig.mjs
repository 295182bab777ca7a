// Processes of the client benchmark: what is started here is pinned, and is gone when this process ends.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

/** Folder for everything that is made; removed at the end. */
export const work = mkdtempSync(path.join(tmpdir(), 'bench-client-'));
/** Leaders of process groups that may still run. @type {Set<number>} */
const groups = new Set();
process.on('exit', () => {
  for (const pid of groups) killGroup(pid);
  rmSync(work, { recursive: true, force: true });
});
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

/** Cores that this process may use, by their numbers. */
function allowedCores() {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return list.split(',').flatMap((range) => {
    const [from, to = from] = range.split('-').map(Number);
    return Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i);
  });
}

/** Numbers of the cores that this process may use. */
export const cores = allowedCores();
/** Whether server and client get a core each. */
export const pinned = cores.length >= 2 && spawnSync('taskset', ['--version']).status === 0;

/**
 * The command, pinned to the server's core (0) or the client's (1) where that can be.
 * @param {0 | 1} core
 * @param {readonly string[]} command
 * @returns {string[]}
 */
export function onCore(core, command) {
  return onCores([/** @type {number} */ (cores[core])], command);
}

/**
 * The command, pinned to some of `cores` where that can be.
 * @param {readonly number[]} some
 * @param {readonly string[]} command
 * @returns {string[]}
 */
export function onCores(some, command) {
  return pinned ? ['taskset', '-c', some.join(','), ...command] : [...command];
}

/**
 * Starts the C server on its core while `use` runs.
 * @template T
 * @param {string} program
 * @param {readonly string[]} options
 * @param {(port: string) => Promise<T>} use
 * @param {number | undefined} core
 * @returns {Promise<T>}
 */
export async function withServer(program, options, use, core = cores[0]) {
  const [command, ...args] = onCores([/** @type {number} */ (core)], [program, ...options]);
  const server = spawn(/** @type {string} */ (command), args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pid = track(server);
  try {
    const port = await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.once('exit', () => reject(new Error('the C server ended')));
      server.stdout.once('data', (line) => resolve(String(line).trim().split(' ')[1]));
    });
    return await use(port);
  } finally {
    await stop(server, pid);
  }
}

/**
 * Asks the server to end, which writes out its log, and then makes sure.
 * @param {import('node:child_process').ChildProcess} server
 * @param {number} pid
 */
async function stop(server, pid) {
  const gone = new Promise((resolve) => server.once('exit', resolve));
  if (server.kill('SIGTERM'))
    await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
  killGroup(pid);
}

/**
 * Runs a command to its end; its standard output. Ends this process when the command failed.
 * @param {readonly string[]} command
 * @param {(pid: number) => void} [started] Told the process's number at once.
 * @returns {Promise<string>}
 */
export async function run(command, started) {
  const child = spawn(/** @type {string} */ (command[0]), command.slice(1), {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const pid = track(child);
  if (pid > 0) started?.(pid);
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  child.stderr.on('data', (text) => {
    err += text;
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) fail(1, `${command.join(' ')}\nended with ${code}\n${out}${err}`);
  return out;
}

/**
 * Starts a command that goes on until the function it gives is called.
 * @param {readonly string[]} command
 * @returns {() => void}
 */
export function start(command) {
  const child = spawn(/** @type {string} */ (command[0]), command.slice(1), {
    detached: true,
    stdio: 'ignore',
  });
  child.once('error', (error) => fail(1, `${command.join(' ')}: ${error.message}`));
  const pid = track(child);
  return () => killGroup(pid);
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @returns {number}
 */
function track(child) {
  const { pid } = child;
  if (pid === undefined) return 0;
  groups.add(pid);
  child.once('exit', () => groups.delete(pid));
  return pid;
}

/** @param {number} pid */
function killGroup(pid) {
  try {
    if (pid > 0) process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

/**
 * Compiles C programs of this folder; their paths.
 * @template {string} Name
 * @param {readonly Name[]} names
 * @returns {Record<Name, string>}
 */
export function compile(names) {
  const made = names.map((name) => {
    const program = path.join(work, name);
    const cc = spawnSync('cc', ['-O2', '-o', program, path.join(here, `${name}.c`)], { encoding: 'utf8' });
    if (cc.status !== 0) fail(2, `cannot compile ${name}.c: ${cc.error?.message ?? cc.stderr}`);
    return [name, program];
  });
  return Object.fromEntries(made);
}

/**
 * Compiles a C library of this folder; its path.
 * @param {string} name
 * @returns {string}
 */
export function compileLibrary(name) {
  const library = path.join(work, `${name}.so`);
  const source = path.join(here, `${name}.c`);
  const cc = spawnSync('cc', ['-O2', '-shared', '-fPIC', '-o', library, source], { encoding: 'utf8' });
  if (cc.status !== 0) fail(2, `cannot compile ${name}.c: ${cc.error?.message ?? cc.stderr}`);
  return library;
}

/**
 * Says why and ends.
 * @param {number} code
 * @param {string} message
 * @returns {never}
 */
export function fail(code, message) {
  console.error(message);
  process.exit(code);
}
