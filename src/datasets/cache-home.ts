import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * The folder that caches of programs lie in: `$XDG_CACHE_HOME`, or `~/.cache` where that is no absolute path; null for a
 * user without a home.
 */
export function cacheHome(env: Readonly<Record<string, string | undefined>>): string | null {
  const named = env['XDG_CACHE_HOME'] ?? '';
  if (isAbsolute(named)) return named;
  const home = homeOf(env);
  return isAbsolute(home) ? join(home, '.cache') : null;
}

/** Throws nothing: a user of a container may stand in no list of users. */
function homeOf(env: Readonly<Record<string, string | undefined>>): string {
  if (env['HOME'] !== undefined) return env['HOME'];
  try {
    return homedir();
  } catch {
    return '';
  }
}
