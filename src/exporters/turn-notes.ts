import type { LevelReport } from '../core/report.ts';
import { figure, percent } from './figures.ts';
import type { Note } from './note.ts';

/** TTFT by the turn of a conversation, with the share of its prompt that came from the server's cache. */
export function turnNotes(tell: (of: (level: LevelReport) => string | null) => string[]): Note[] {
  const texts = tell(({ turns }) => {
    if (turns === undefined) return null;
    const parts = turns.map(({ turn, ttftMs, cachedRatio }) => {
      const cached = cachedRatio === null ? '' : ` (${percent(cachedRatio)} cached)`;
      return `turn ${turn} ${ttftMs.p50 === null ? 'none' : `${figure(ttftMs.p50)} ms`}${cached}`;
    });
    const cut = turns[0]!.sent - turns.at(-1)!.sent;
    const ended = cut === 0 ? '' : `; ${cut} of ${turns[0]!.sent} conversations ended early`;
    return `TTFT p50: ${parts.join(', ')}${ended}`;
  });
  return texts.map((text) => ({ topic: 'turns', text, loud: false }));
}
