import fs, { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BenchError, errorText, usageError } from '../core/errors.ts';
import { makeFolders } from '../core/folders.ts';
import { decodeText } from '../core/utf8.ts';
import { cacheHome } from './cache-home.ts';

/** The world outside that the hub needs; tests hand in their own. */
export interface HubAccess {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly fetch: typeof fetch;
}

interface HubFiles {
  readonly tokenizerJson: string;
  readonly configJson: string | null;
  readonly templateJinja: string | null;
  readonly templateJson: string | null;
}

const FETCH_TIMEOUT_MS = 120_000;

/**
 * Reads `ORG/NAME[@REVISION]` from the local hub cache, else from the hub, which then fills the cache.
 * `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH` and `HF_HUB_OFFLINE` hold.
 * Throws a usage error (exit 2) when the model or its tokenizer cannot be had.
 */
export async function readFromHub(model: string, hub: HubAccess): Promise<HubFiles> {
  const [name = '', revision = 'main'] = model.split('@');
  if (!/^[\w.-]+(?:\/[\w.-]+)?$/.test(name) || !/^[\w./-]+$/.test(revision) || revision.includes('..')) {
    throw usageError(
      `--tokenizer: "hf:${model}" names no model`,
      'write hf:ORG/NAME, as in hf:Qwen/Qwen3-8B',
    );
  }
  const { env } = hub;
  const caches = cacheHome(env);
  // Without a home nothing is read and nothing kept.
  const home = env['HF_HOME'] ?? (caches === null ? null : join(caches, 'huggingface'));
  const cache = env['HF_HUB_CACHE'] ?? (home === null ? null : join(home, 'hub'));
  const folder = cache === null ? null : join(cache, `models--${name.replace('/', '--')}`);
  const cached = folder === null ? null : readCached(folder, revision);
  if (cached !== null) return cached;
  if (/^(1|true|yes|on)$/i.test(env['HF_HUB_OFFLINE'] ?? '')) {
    throw usageError(
      `--tokenizer: hf:${model} is not in ${cache ?? 'any cache'}, and HF_HUB_OFFLINE forbids to fetch it`,
      'give the path of a folder that holds its tokenizer.json',
    );
  }
  const tokenFile = env['HF_TOKEN_PATH'] ?? (home === null ? null : join(home, 'token'));
  const token = env['HF_TOKEN'] ?? (tokenFile === null ? null : readText(tokenFile)?.trim());
  const endpoint = (env['HF_ENDPOINT'] ?? 'https://huggingface.co').replace(/\/+$/, '');
  const download = (file: string): Promise<Download | null> =>
    fetchFile(
      `${endpoint}/${name}/resolve/${encodeURIComponent(revision)}/${file}`,
      token ?? undefined,
      hub.fetch,
    );

  const [tokenizer, config, template, templateJson] = await Promise.all([
    download('tokenizer.json'),
    download('tokenizer_config.json'),
    download('chat_template.jinja'),
    download('chat_template.json'),
  ]);
  if (tokenizer === null) {
    throw usageError(
      `--tokenizer: hf:${model} has no tokenizer.json (or there is no such model)`,
      'check the name, or give a local folder that holds tokenizer.json',
    );
  }
  const resolved = [tokenizer, config, template, templateJson].find((file) => file?.commit != null)?.commit;
  if (resolved != null && folder !== null) {
    const target = join(folder, 'snapshots', resolved);
    storeText(join(target, 'tokenizer_config.json'), config?.text);
    storeText(join(target, 'chat_template.jinja'), template?.text);
    storeText(join(target, 'chat_template.json'), templateJson?.text);
    storeText(join(target, 'tokenizer.json'), tokenizer.text);
    storeText(join(folder, 'refs', revision), resolved);
  }
  return {
    tokenizerJson: tokenizer.text,
    configJson: config?.text ?? null,
    templateJinja: template?.text ?? null,
    templateJson: templateJson?.text ?? null,
  };
}

/** What the cache of a model holds of a revision; null without its tokenizer. */
function readCached(folder: string, revision: string): HubFiles | null {
  const commit = readText(join(folder, 'refs', revision))?.trim() ?? revision;
  const snapshot = join(folder, 'snapshots', commit);
  const tokenizerJson = readText(join(snapshot, 'tokenizer.json'));
  if (tokenizerJson === null) return null;
  return {
    tokenizerJson,
    configJson: readText(join(snapshot, 'tokenizer_config.json')),
    templateJinja: readText(join(snapshot, 'chat_template.jinja')),
    templateJson: readText(join(snapshot, 'chat_template.json')),
  };
}

interface Download {
  readonly text: string;
  readonly commit: string | null;
}

async function fetchFile(
  url: string,
  token: string | undefined,
  get: typeof fetch,
): Promise<Download | null> {
  let response: Response;
  try {
    response = await get(url, {
      headers: token ? { authorization: `Bearer ${token}` } : {},
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    });
    if (response.status === 404) return null;
    if (response.ok) {
      const text = decodeText(new Uint8Array(await response.arrayBuffer()), url);
      return { text, commit: response.headers.get('x-repo-commit') };
    }
  } catch (error) {
    if (error instanceof BenchError) throw error;
    const cause =
      error instanceof Error && error.cause !== undefined ? errorText(error.cause) : errorText(error);
    throw usageError(
      `--tokenizer: cannot fetch ${url} (${cause})`,
      'give the path of a local folder instead',
    );
  }
  const hint =
    response.status === 401 || response.status === 403
      ? 'the model is gated or does not exist: set HF_TOKEN, or give a local folder'
      : 'try again later, or give a local folder';
  throw usageError(`--tokenizer: ${url} answered HTTP ${response.status}`, hint);
}

function readText(file: string): string | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return null;
  }
  return decodeText(bytes, file);
}

/** Fills the cache. A cache that cannot be written is no failure: the text is in hand. */
function storeText(file: string, text: string | undefined): void {
  if (text === undefined) return;
  const partial = `${file}.${process.pid}.partial`;
  try {
    makeFolders(dirname(file), fs);
    writeFileSync(partial, text);
    renameSync(partial, file);
  } catch {
    // The next run fetches it again.
  }
}
