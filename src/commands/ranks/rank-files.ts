import path from 'node:path';

/** Folder, within a run's, of what its load generators leave. */
export const RANKS_FOLDER = 'ranks';

/** What ranks, and whatever started them, said on standard error. */
export const LOG_FILE = 'log';

/** Where rank number `rank` keeps its records. */
export function rankDirectory(runDirectory: string, rank: number): string {
  return path.join(runDirectory, RANKS_FOLDER, `rank-${rank}`);
}

/** First part of the names of a run's requests. */
export function requestPrefix(salt: string): string {
  return `bench-${salt.replace(/[^\w.-]/g, '_')}`;
}
