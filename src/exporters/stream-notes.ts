import { type Bursts, isBuffered } from '../core/bursts.ts';
import type { LevelReport, Report } from '../core/report.ts';
import { figure, grouped, percent } from './figures.ts';
import { sentences } from './level-sentences.ts';
import type { Note } from './note.ts';

/** TPOT and token ITL may be apart by this without a word. */
const MOST_FIRST_RATIO = 1.05;

/** What the stream itself does to speeds: events in groups, and tokens that came in no chunk of their own. */
export function streamNotes(report: Report): Note[] {
  return [
    ...sentences(report, bufferText).map((text) => ({ topic: 'bursts', text, loud: true })),
    ...sentences(report, wholeText).map((text) => ({ topic: 'bursts', text, loud: true })),
    ...sentences(report, unknownText).map((text) => ({ topic: 'unseen', text, loud: true })),
    ...sentences(report, stepText).map((text) => ({ topic: 'ITL', text, loud: false })),
    ...sentences(report, firstChunkText).map((text) => ({ topic: 'TPOT', text, loud: false })),
    ...sentences(report, unseenText).map((text) => ({ topic: 'unseen', text, loud: false })),
  ];
}

function bufferText({ bursts }: LevelReport): string | null {
  if (!isBuffered(bursts)) return null;
  return `${groupsText(bursts!)}: something between here and the model (a proxy that buffers; nginx: proxy_buffering off), or the server's own stream interval, groups them; ITL, token ITL, TPOT and tok/s per user are not the model's, and TTFT holds the wait for the first group`;
}

function stepText({ bursts }: LevelReport): string | null {
  return bursts === undefined || isBuffered(bursts)
    ? null
    : `${groupsText(bursts)}, so most gaps between chunks are next to nothing`;
}

function groupsText({ events, everyMs }: Bursts): string {
  return everyMs === null
    ? `whole outputs came at once, ${grouped(events)} events at a time`
    : `events came ${grouped(events)} at a time, every ${figure(everyMs)} ms`;
}

function wholeText({ itlMs, tpotMs }: LevelReport): string | null {
  return itlMs.count > 0 || tpotMs.count === 0
    ? null
    : 'each output came as one chunk: there is no ITL, and a TPOT of 0 says nothing of the model';
}

function unknownText({ unseenTokens, requests }: LevelReport): string | null {
  const { unknown = 0 } = unseenTokens ?? {};
  if (unknown === 0) return null;
  return `${grouped(unknown)} of ${grouped(requests.good)} outputs seem to have tokens that no chunk showed (held back by a parser, or hidden by the API), and their number is unknown: TPOT and tok/s per user count them as if they had been streamed; continuous usage, or the model's --tokenizer, would tell`;
}

/** TPOT and token ITL are apart where the first chunk has several tokens: one counts all of them but one, the other none. */
function firstChunkText(level: LevelReport): string | null {
  const { outputTokens, unseenTokens, requests, tokenItlMs, chunkTokensBy } = level;
  // Only where the tokens of all chunks are known are both made of the same requests.
  if ((unseenTokens?.unknown ?? 0) > 0 || chunkTokensBy['unknown'] !== undefined || tokenItlMs.count === 0)
    return null;
  const shown = requests.good - requests.goodWithoutText;
  const ratio = (outputTokens - (unseenTokens?.count ?? 0) - shown) / tokenItlMs.count;
  if (ratio <= MOST_FIRST_RATIO) return null;
  return `TPOT is ${percent(1 - 1 / ratio)} below token ITL, since it counts all but one of the tokens that came with the first chunk`;
}

function unseenText({ unseenTokens, outputTokens, requests }: LevelReport): string | null {
  const { count = 0, requests: ones = 0 } = unseenTokens ?? {};
  if (count === 0) return null;
  const share = percent(count / outputTokens);
  return `${grouped(count)} of ${grouped(outputTokens)} output tokens (${share}, in ${grouped(ones)} of ${grouped(requests.good)} requests) came in no chunk of their own, but before the first one with output or behind the last (held back by a parser, or hidden by the API): output tok/s counts them, TPOT and tok/s per user do not`;
}
