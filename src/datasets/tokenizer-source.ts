import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { errorText, usageError } from '../core/errors.ts';
import { decodeText } from '../core/utf8.ts';
import { readEmbedded } from './embedded.ts';
import { type HubAccess, readFromHub } from './hub.ts';

/** What `--tokenizer` means when it is not given. */
export const EMBEDDED_TOKENIZER = 'embedded';

/** The files of a tokenizer as they were found, not yet parsed. */
export interface TokenizerFiles {
  /** Short name for people, such as `DeepSeek-V3` or `embedded`. */
  readonly name: string;
  /** Where the files came from: `embedded`, a path, or `hf:ORG/NAME`. */
  readonly source: string;
  readonly tokenizerJson: string;
  readonly configJson: string | null;
  /** Text of `chat_template.jinja`; null when there is none (the config may still hold a template). */
  readonly templateJinja: string | null;
  /** Text of `chat_template.json`; null when there is none. */
  readonly templateJson: string | null;
}

/**
 * Finds and reads the tokenizer that `--tokenizer` names: `embedded`, a folder, a `tokenizer.json`, or
 * `hf:ORG/NAME[@REVISION]`. Only the last form may reach the network. Throws a usage error (exit 2) that
 * says what to do when it cannot be read.
 */
export async function readTokenizerFiles(choice: string, hub: HubAccess): Promise<TokenizerFiles> {
  if (choice === EMBEDDED_TOKENIZER) {
    return {
      name: EMBEDDED_TOKENIZER,
      source: EMBEDDED_TOKENIZER,
      tokenizerJson: readEmbedded('tokenizer/tokenizer.json'),
      configJson: readEmbedded('tokenizer/tokenizer_config.json'),
      templateJinja: null,
      templateJson: null,
    };
  }
  if (choice.startsWith('hf:')) {
    const files = await readFromHub(choice.slice('hf:'.length), hub);
    return { name: choice.slice('hf:'.length), source: choice, ...files };
  }
  return readFromPath(choice);
}

function readFromPath(choice: string): TokenizerFiles {
  const path = resolve(choice);
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    const hint = /^[\w.-]+\/[\w.-]+$/.test(choice)
      ? `for the model hub's ${choice} write --tokenizer hf:${choice}; otherwise give a folder that holds tokenizer.json`
      : 'give a folder that holds tokenizer.json, the file itself, or hf:ORG/NAME';
    throw usageError(`--tokenizer: cannot find "${choice}" (${codeOf(error)})`, hint);
  }
  const folder = isFolder ? path : dirname(path);
  const file = isFolder ? join(path, 'tokenizer.json') : path;
  const tokenizerJson = readOptional(file);
  if (tokenizerJson === null) {
    throw usageError(
      `--tokenizer: there is no tokenizer.json in "${choice}"`,
      'give the folder of a model that has one (a SentencePiece tokenizer.model alone is not enough)',
    );
  }
  return {
    name: nameOf(folder),
    source: file,
    tokenizerJson,
    configJson: readOptional(join(folder, 'tokenizer_config.json')),
    templateJinja: readOptional(join(folder, 'chat_template.jinja')),
    templateJson: readOptional(join(folder, 'chat_template.json')),
  };
}

/** `ORG/NAME` of a folder in the hub's cache, else the folder's own name. */
function nameOf(folder: string): string {
  const hub = /models--([^/\\]+)[/\\]snapshots/.exec(folder)?.[1];
  return hub === undefined ? basename(folder) : hub.replace('--', '/');
}

/** Text of a file, null when it does not exist. Any other failure is a usage error. */
function readOptional(file: string): string | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw usageError(`--tokenizer: cannot read ${file} (${codeOf(error)})`, 'check that you may read it');
  }
  return decodeText(bytes, file);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? errorText(error);
}
