import type { InferredOptionTypes, Options } from 'yargs';
import type { Kind } from '../core/kind.ts';
import { ENDPOINTS } from '../endpoints/index.ts';
import { SERVERS } from '../endpoints/servers.ts';

/** The names of kinds, as choices of an option. */
export const names = (kinds: readonly Kind[]): string[] => kinds.map((kind) => kind.name);
/** What each kind is, as the description of an option. */
export const describe = (kinds: readonly Kind[]): string =>
  kinds.map((kind) => `${kind.name}: ${kind.about}`).join('; ');

/** The heading of these options in a help. */
export const TARGET = 'Target:';

/** How to reach the server; shared by all verbs that talk to one. */
export const TARGET_OPTIONS = {
  url: {
    group: TARGET,
    type: 'array',
    string: true,
    default: ['http://localhost:8000'],
    describe:
      'server (http, https or unix:/path), or the whole route that ends in /chat/completions; several are used in round robin',
  },
  path: {
    group: TARGET,
    type: 'string',
    describe: 'path of the requests below --url [default: /v1/chat/completions]',
  },
  query: {
    group: TARGET,
    type: 'array',
    string: true,
    default: [] as string[],
    describe: 'query of all requests, as in api-version=2024-10-21 (repeatable)',
  },
  model: { group: TARGET, type: 'string', describe: 'served model name [default: the only listed model]' },
  server: {
    group: TARGET,
    choices: ['auto', ...names(SERVERS)],
    default: 'auto',
    describe: "the server's quirks; auto probes for them",
  },
  endpoint: {
    group: TARGET,
    choices: names(ENDPOINTS),
    default: 'openai-chat',
    describe: `API shape (${describe(ENDPOINTS)})`,
  },
  'api-key': { group: TARGET, type: 'string', describe: 'bearer token [default: OPENAI_API_KEY]' },
  header: {
    group: TARGET,
    type: 'array',
    string: true,
    default: [] as string[],
    describe: 'extra request header "Name: value" (repeatable)',
  },
  'extra-body': {
    group: TARGET,
    type: 'string',
    describe: 'JSON object merged over the request body; null leaves a field out',
  },
  omit: {
    group: TARGET,
    type: 'array',
    string: true,
    default: [] as string[],
    describe: 'field that is left out of the request body, as in stream_options.include_usage (repeatable)',
  },
  cacert: { group: TARGET, type: 'string', describe: 'PEM file of a certificate authority to trust as well' },
  cert: { group: TARGET, type: 'string', describe: 'PEM file of the client certificate' },
  key: { group: TARGET, type: 'string', describe: "PEM file of the client certificate's key" },
  wire: {
    group: TARGET,
    choices: ['auto', 'kernel', 'socket', 'undici'] as const,
    default: 'auto',
    describe:
      "what carries measured streams: kernel has the kernel's time stamps (Linux, TCP), socket and undici those of Node, undici uses the proxies of the environment; auto: kernel, else socket",
  },
  'connection-per-request': {
    group: TARGET,
    type: 'boolean',
    default: false,
    describe: 'open a connection for each request, inside its TTFT',
  },
  'timeout-connect': {
    group: TARGET,
    type: 'string',
    default: '10s',
    describe: 'longest time to open a connection',
  },
  'timeout-first': {
    group: TARGET,
    type: 'string',
    default: '30m',
    describe: 'longest wait for the first output',
  },
  'timeout-idle': {
    group: TARGET,
    type: 'string',
    default: '5m',
    describe: 'longest silence between events',
  },
  'timeout-total': {
    group: TARGET,
    type: 'string',
    default: '6h',
    describe: 'longest time for a whole request',
  },
} as const satisfies Record<string, Options>;

export type TargetArgs = InferredOptionTypes<typeof TARGET_OPTIONS>;
