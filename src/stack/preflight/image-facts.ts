import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

/** A larger file is not read to the end only to name it: its size and time do. */
const MOST_HASHED_BYTES = 2 * 1024 ** 3;

/** Which image the containers are made of, as far as it can be told without pulling it. */
export interface ImageFacts {
  readonly reference: string;
  /** `sha256:…`: of the reference where it names one, of a file's bytes where it is small enough; null when unknown. */
  readonly digest: string | null;
  /** Of an image file that this host sees. */
  readonly bytes: number | null;
  /** UTC, of an image file. */
  readonly modified: string | null;
}

/** Facts of an image reference or file. Never rejects: what cannot be told is null. */
export async function imageFacts(reference: string): Promise<ImageFacts> {
  const named = /@(sha256:[0-9a-f]{64})$/.exec(reference)?.[1] ?? null;
  const facts = { reference, digest: named, bytes: null, modified: null };
  if (!/^[./]/.test(reference)) return facts;
  try {
    const { size, mtime } = await stat(reference);
    const digest = size > MOST_HASHED_BYTES ? null : await sha256(reference);
    return { reference, digest, bytes: size, modified: mtime.toISOString() };
  } catch {
    return facts;
  }
}

function sha256(file: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    createReadStream(file)
      .on('error', reject)
      .on('data', (bytes) => hash.update(bytes))
      .on('end', () => resolve(`sha256:${hash.digest('hex')}`));
  });
}
