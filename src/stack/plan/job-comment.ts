/** Begins the comment of each job of ours. */
const OURS = 'bench-stack:';

/** A job of ours, by its comment. */
export interface CommentedRun {
  readonly run: string;
  /** Absolute folder of the stack; null where the comment has none. */
  readonly dir: string | null;
}

/** Comment of a job of ours, by which it is found again even when its supervisor has died, with the stack's folder. */
export function jobComment(run: string, dir: string | null): string {
  return dir === null ? `${OURS}${run}` : `${OURS}${run} ${dir}`;
}

/** The run that a job's comment names; null when it is no job of ours. */
export function commentedRun(comment: string): CommentedRun | null {
  if (!comment.startsWith(OURS)) return null;
  const text = comment.slice(OURS.length);
  const end = text.indexOf(' ');
  return end < 0 ? { run: text, dir: null } : { run: text.slice(0, end), dir: text.slice(end + 1) };
}
