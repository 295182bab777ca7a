/** What a check before the launch has found. */
export interface Finding {
  /** `error`: the launch would fail. `warn`: it may, or measures what is not meant. */
  readonly level: 'error' | 'warn' | 'ok';
  /** Node it holds for, or the service; null for the stack as a whole. */
  readonly node: string | null;
  /** What was looked at: `port 8000`, `path /model`. */
  readonly what: string;
  /** What was found there. */
  readonly value: string;
  readonly hint: string | null;
}

/** The worst level among the findings; `ok` when there are none. */
export function worstLevel(findings: readonly Finding[]): Finding['level'] {
  if (findings.some(({ level }) => level === 'error')) return 'error';
  return findings.some(({ level }) => level === 'warn') ? 'warn' : 'ok';
}
