import type { Report } from '../core/report.ts';
import { figure } from './figures.ts';
import type { Note } from './note.ts';
import { harmless } from './page-style.ts';

/** More names than this say less than their number. */
const MOST_NAMES = 4;

/** How far the measuring process was from the server: every latency holds at least one such round trip. */
export function networkNotes({ target, provenance }: Report): Note[] {
  const { roundTripMs = null } = target;
  if (roundTripMs === null) return [];
  const text = `round trip ${figure(roundTripMs)} ms from ${harmless(provenance.host)}`;
  return [{ topic: 'network', text, loud: false }];
}

/** Who sent the load, where it was not one process, and how far their clocks were apart. */
export function loadNotes(report: Report): Note[] {
  const ranks = report.levels.flatMap((level) => level.ranks ?? []);
  if (ranks.length === 0) return [];
  const count = new Set(ranks.map(({ rank }) => rank)).size;
  const hosts = [...new Set(ranks.map(({ host }) => host))];
  const where = hosts.length > MOST_NAMES ? `${hosts.length} hosts` : hosts.map(harmless).join(', ');
  const apartMs = Math.max(...ranks.map(({ clockOffsetMs }) => Math.abs(clockOffsetMs)));
  const errorMs = Math.max(...ranks.map(({ clockErrorMs }) => clockErrorMs));
  const text =
    `sent by ${count} load generators on ${where}; their clocks are at most ${figure(apartMs)} ms off ` +
    `(± ${figure(errorMs)} ms), which moves instants and no latency`;
  return [{ topic: 'load', text, loud: false }];
}
