/** Verbs by which the program runs itself; they are in no help. */
export const OWN_VERBS = {
  /** The child that loads tokenizers. */
  promptChild: '__prompts',
  /** The child that writes the time to its parent and looks at its receive queues. */
  auditProbe: 'audit-probe',
  /** A load generator among several. */
  loadRank: 'load-rank',
  /** Who holds a stack. */
  supervise: 'stack-supervise',
} as const;

/** Starts `OWN_VERBS.auditProbe` as a child. */
export const PROBE_COMMAND: readonly string[] = [
  process.execPath,
  process.argv[1] ?? '',
  OWN_VERBS.auditProbe,
];
