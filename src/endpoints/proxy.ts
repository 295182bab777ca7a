import { readFileSync } from 'node:fs';
import net from 'node:net';
import { usageError } from '../core/errors.ts';
import type { Target } from './wire.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** A proxy of the environment. */
export interface Proxy {
  /** `http://host:port` or `https://host:port`, without credentials. */
  readonly url: string;
  /** The variable that names it. */
  readonly variable: string;
  /** Value of Proxy-Authorization; null without credentials. */
  readonly authorization: string | null;
}

/** How requests reach a target. */
export interface Route {
  /** null: directly. */
  readonly proxy: Proxy | null;
  /** The variable whose proxy a direct route leaves aside; null where the environment names none for the target. */
  readonly unused: string | null;
}

/**
 * The way to a target. The variables are read as curl does: `http_proxy` or `https_proxy` by the target's scheme, else
 * `all_proxy`, in lower case first, and `no_proxy` for exceptions; unlike curl, HTTP_PROXY is taken too. Loopback addresses
 * never go through a proxy. Exit 2 where `usesProxies` and the value names no HTTP proxy.
 */
export function routeTo(target: Target, usesProxies: boolean, env: Env = process.env): Route {
  const named = proxyVariable(target, env);
  if (named === null) return { proxy: null, unused: null };
  return usesProxies
    ? { proxy: parseProxy(named.variable, named.value), unused: null }
    : { proxy: null, unused: named.variable };
}

/** The route in words behind a URL: empty where the environment names no proxy for it. */
export function routeWords({ proxy, unused }: Route): string {
  if (proxy !== null) return `through the proxy ${proxy.url} (${proxy.variable})`;
  return unused === null ? '' : `directly (${unused} is used by --wire undici alone)`;
}

/** What went wrong before an answer came, with the route where there may be another. */
export function onRoute(route: Route, text: string): string {
  const words = routeWords(route);
  return words === '' ? text : route.proxy === null ? `${text}, ${words}` : `${words}: ${text}`;
}

/** The variable that names a proxy for a target, and its value; null where none does, or where it is excepted. */
function proxyVariable(target: Target, env: Env): { variable: string; value: string } | null {
  if (target.socketPath !== null) return null;
  const named = [target.tls ? 'https_proxy' : 'http_proxy', 'all_proxy'].flatMap((name) => {
    const found = lookUp(env, name);
    return found === null ? [] : [found];
  })[0];
  if (named === undefined || named.value === '') return null;
  const host = plainHost(target.host);
  if (isLoopback(host) || isExcepted(host, target.port, lookUp(env, 'no_proxy')?.value ?? '')) return null;
  return named;
}

/** A variable in lower case, else in upper case; set to nothing in lower case, it hides the other. */
function lookUp(env: Env, name: string): { variable: string; value: string } | null {
  for (const variable of [name, name.toUpperCase()]) {
    const value = env[variable];
    if (value !== undefined) return { variable, value: value.trim() };
  }
  return null;
}

/** Scheme, user info up to the last `@` (with any characters in it), host, port. */
const PROXY = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:(.*)@)?(\[[^\]]+\]|[^\s:/?#@[\]]+)(?::(\d+))?(?:[/?#].*)?$/is;

/** The value is not shown in an error: it may hold a password. */
function parseProxy(variable: string, value: string): Proxy {
  const [, scheme = 'http', user, host, port = ''] = PROXY.exec(value) ?? [];
  const protocol = scheme.toLowerCase();
  if (host !== undefined && protocol !== 'http' && protocol !== 'https')
    throw usageError(
      `${variable}: a proxy of the scheme "${protocol}" cannot be used`,
      `name an HTTP proxy, as in ${variable}=http://proxy.example:3128, or unset it`,
    );
  const address = host === undefined ? null : `${protocol}://${host}${port === '' ? '' : `:${port}`}`;
  if (address === null || !URL.canParse(address))
    throw usageError(
      `${variable}: its value is not the URL of a proxy`,
      `write ${variable}=http://proxy.example:3128, unset it, or except the target with no_proxy`,
    );
  return { url: new URL(address).origin, variable, authorization: user === undefined ? null : basic(user) };
}

function basic(user: string): string {
  const at = user.indexOf(':');
  const parts = at < 0 ? [user, ''] : [user.slice(0, at), user.slice(at + 1)];
  return `Basic ${Buffer.from(parts.map(unescaped).join(':')).toString('base64')}`;
}

/** Percent-decoded; as it stands where it is not percent-encoded. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Lower case, without brackets or the dot at the end. */
function plainHost(host: string): string {
  return host.toLowerCase().replace(/^\[|\]$|\.$/g, '');
}

const LOOPBACK = new net.BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8);
LOOPBACK.addAddress('::1', 'ipv6');
// A connection to "any address" is one to this host.
LOOPBACK.addAddress('0.0.0.0');
LOOPBACK.addAddress('::', 'ipv6');

/** Whether a host is this one by its loopback interface: an address, `localhost`, or a name that /etc/hosts gives such an address. */
function isLoopback(host: string): boolean {
  if (host === 'localhost' || host.endsWith('.localhost')) return true;
  return net.isIP(host) === 0 ? hostsFile().has(host) : holds(LOOPBACK, host);
}

function holds(list: net.BlockList, address: string): boolean {
  const family = net.isIP(address);
  return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** The names of loopback addresses in /etc/hosts; empty where it cannot be read. */
function hostsFile(): ReadonlySet<string> {
  let text = '';
  try {
    text = readFileSync('/etc/hosts', 'utf8');
  } catch {
    // No such file on this system.
  }
  const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim().toLowerCase().split(/\s+/));
  return new Set(lines.flatMap(([address = '', ...names]) => (holds(LOOPBACK, address) ? names : [])));
}

/**
 * Whether `no_proxy` excepts a host: `*`, a domain with all below it (with or without a dot in front), an address, or a block of
 * addresses (`10.0.0.0/8`, `fd00::/8`); names and addresses may have a port.
 */
function isExcepted(host: string, port: number, noProxy: string): boolean {
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry === '*' || (entry !== '' && covers(entry, host, port)));
}

function covers(entry: string, host: string, port: number): boolean {
  const [network = '', bits] = entry.split('/', 2);
  if (bits !== undefined) return isInBlock(plainHost(network), Number(bits), host);
  const [, bracketed, bare = '', only] = /^(?:\[(.+)\]|([^:]+|.*:.*:.*))(?::(\d+))?$/.exec(entry) ?? [];
  if (only !== undefined && Number(only) !== port) return false;
  const name = plainHost((bracketed ?? bare).replace(/^\*?\./, ''));
  if (net.isIP(host) !== 0) return isInBlock(name, net.isIPv6(name) ? 128 : 32, host);
  return host === name || host.endsWith(`.${name}`);
}

function isInBlock(network: string, bits: number, host: string): boolean {
  const family = net.isIP(network);
  if (family === 0 || !Number.isInteger(bits) || bits < 0 || bits > (family === 6 ? 128 : 32)) return false;
  const block = new net.BlockList();
  block.addSubnet(network, bits, family === 6 ? 'ipv6' : 'ipv4');
  return holds(block, host);
}
