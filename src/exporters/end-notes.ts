import type { LevelReport } from '../core/report.ts';
import { grouped } from './figures.ts';
import type { Note } from './note.ts';
import { harmless } from './page-style.ts';

/** What is odd about the ends of good requests, and of their responses. `sentencesOf` gives a sentence per kind of level. */
export function endNotes(sentencesOf: (of: (level: LevelReport) => string | null) => string[]): Note[] {
  const unproven = sentencesOf(({ ends }) =>
    ends === undefined || ends.unproven === 0
      ? null
      : `${grouped(ends.unproven)} good requests ended with [DONE] alone, without finish reason and usage, after fewer chunks than tokens requested: they may have been cut`,
  );
  const reasons = sentencesOf(({ ends }) => {
    const counts = Object.entries(ends?.unknownReasons ?? {});
    if (counts.length === 0) return null;
    const list = counts.map(([reason, count]) => `"${harmless(reason)}" (${grouped(count)})`).join(', ');
    return `good requests ended with finish reasons that are not known: ${list}`;
  });
  const held = sentencesOf(({ audit }) => {
    const count = audit?.reads?.heldOpen ?? 0;
    return count === 0
      ? null
      : `the server held ${grouped(count)} responses open after [DONE]: no slot waited for them, but requests may have had to open new connections, which is part of their TTFT`;
  });
  return [
    ...unproven.map((text) => ({ topic: 'ends', text, loud: true })),
    ...reasons.map((text) => ({ topic: 'ends', text, loud: false })),
    ...held.map((text) => ({ topic: 'ends', text, loud: true })),
  ];
}
