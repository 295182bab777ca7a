import path from 'node:path';

/**
 * The host's path of a path inside of the container, by the longest mount that holds it; null when none
 * does. Mounts are pyxis' (`SRC:DST` or `SRC:DST:FLAGS`); `tmpfs` and `umount` have no source on the host.
 */
export function hostPathOf(containerPath: string, mounts: readonly string[]): string | null {
  const inside = path.posix.normalize(containerPath);
  let best: { readonly source: string; readonly target: string } | null = null;
  for (const mount of mounts) {
    const [source, target = source] = mount.split(':');
    if (source === undefined || !source.startsWith('/') || !target!.startsWith('/')) continue;
    const at = trimmed(target!);
    const holds = at === '/' || inside === at || inside.startsWith(`${at}/`);
    // Of two mounts at one place the later covers the earlier.
    if (holds && (best === null || at.length >= best.target.length)) best = { source, target: at };
  }
  if (best === null) return null;
  return path.posix.join(trimmed(best.source), inside.slice(best.target === '/' ? 0 : best.target.length));
}

function trimmed(folder: string): string {
  const normal = path.posix.normalize(folder);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}
