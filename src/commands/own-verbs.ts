/** Verbs by which the program runs itself; they are in no help. */
export const OWN_VERBS = {
  /** The child that loads tokenizers. */
  promptChild: '__prompts',
  /** A load generator among several. */
  loadRank: 'load-rank',
  /** Who holds a stack. */
  supervise: 'stack-supervise',
} as const;
