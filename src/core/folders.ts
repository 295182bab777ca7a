/** The calls of a file system that folders are made with; Node's own has them. */
export interface FolderCalls {
  existsSync(place: string): boolean;
  /** Throws what the system says. */
  mkdirSync(folder: string): unknown;
}

/**
 * Makes a folder and the missing ones above it, and throws what the system says of the first that cannot be made.
 * Node's own recursion does not end where a folder takes no other, as `/proc`.
 */
export function makeFolders(folder: string, { existsSync, mkdirSync }: FolderCalls): void {
  const missing: string[] = [];
  for (let place = folder; place !== '' && !existsSync(place); place = parentOf(place)) missing.push(place);
  for (const place of missing.reverse()) {
    try {
      mkdirSync(place);
    } catch (error) {
      // Another process may have made it meanwhile; a name that ends in a slash was made without it.
      if (!existsSync(place)) throw error;
    }
  }
}

/** The folder that a place lies in; empty where its path names none. */
function parentOf(place: string): string {
  return place.slice(0, Math.max(0, place.lastIndexOf('/')));
}
