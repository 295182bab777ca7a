import { readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs';

/**
 * Whether a process of this machine that belongs to the file's owner has the file open; null when that cannot be
 * seen: without `/proc`, and as another user.
 */
export function isHeldOpen(file: string): boolean | null {
  try {
    const place = realpathSync(file);
    const owner = statSync(place).uid;
    const self = process.getuid?.();
    if (self !== 0 && self !== owner) return null;
    return readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && holds(`/proc/${pid}`, owner, place));
  } catch {
    return null;
  }
}

function holds(folder: string, owner: number, place: string): boolean {
  try {
    if (statSync(folder).uid !== owner) return false;
    return readdirSync(`${folder}/fd`).some((name) => linkOf(`${folder}/fd/${name}`) === place);
  } catch {
    // It has ended meanwhile.
    return false;
  }
}

function linkOf(link: string): string | null {
  try {
    return readlinkSync(link);
  } catch {
    return null;
  }
}
