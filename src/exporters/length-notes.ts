import type { LengthProof, LevelReport, Report } from '../core/report.ts';
import { grouped } from './figures.ts';
import { groupBy, levelNames, levelsRun } from './level-names.ts';
import type { Note } from './note.ts';
import { harmless } from './page-style.ts';

interface Side {
  readonly short: 'ISL' | 'OSL';
  readonly things: 'prompts' | 'outputs';
  readonly asked: number;
  readonly level: LevelReport;
  readonly proof: LengthProof;
}

/** Whether prompts and outputs came out as long as asked, and who says so. */
export function lengthNotes(report: Report): Note[] {
  const sides = levelsRun(report).flatMap((level): Side[] => [
    { short: 'ISL', things: 'prompts', asked: level.isl, level, proof: level.islProof },
    { short: 'OSL', things: 'outputs', asked: level.osl, level, proof: level.oslProof },
  ]);
  const known = sides.filter(({ level }) => level.requests.good > 0);
  return [
    ...known.filter(({ proof }) => proof.deviations > 0).map((side) => deviation(report, side)),
    ...known.filter(({ proof }) => proof.unknown > 0).map((side) => unknown(report, side)),
    ...known.filter(({ proof }) => (proof.estimated ?? 0) > 0).map((side) => estimated(report, side)),
    ...unasked(report, known),
    ...kept(report, known),
  ];
}

function deviation(report: Report, { short, things, level, proof }: Side): Note {
  const asked =
    proof.asked === null ? 'not as long as asked' : `not the ${grouped(proof.asked)} tokens asked`;
  const text = `DEVIATION at ${levelNames(report, [level])}: ${grouped(proof.deviations)} of ${grouped(level.requests.good)} ${things} are ${asked}; ${short} counted: ${countedText(proof)}`;
  return { topic: 'lengths', text, loud: true };
}

function unknown(report: Report, { things, level, proof }: Side): Note {
  const text = `UNKNOWN at ${levelNames(report, [level])}: nobody counted ${grouped(proof.unknown)} of ${grouped(level.requests.good)} ${things}; token rates leave them out`;
  return { topic: 'lengths', text, loud: true };
}

function estimated(report: Report, { short, things, level, proof }: Side): Note {
  const length = proof.asked === null ? 'their lengths' : `the ${grouped(proof.asked)} tokens requested`;
  const text = `ESTIMATE at ${levelNames(report, [level])}: ${short} ≈ ${countedText(proof)} of ${grouped(proof.estimated!)} ${things} was counted by ${harmless(report.prompts.tokenizerName)}, which is not the model's tokenizer, since the server sends no usage: ${length} cannot be proven; give the model's --tokenizer`;
  return { topic: 'lengths', text, loud: true };
}

function countedText({ counted }: LengthProof): string {
  const { min, max } = counted!;
  return min === max ? grouped(min) : `${grouped(min)} to ${grouped(max)}`;
}

/** Given texts that nobody counted before they were sent: what the server counts is their length, and no proof of it. */
function unasked({ prompts }: Report, sides: readonly Side[]): Note[] {
  const some = sides.filter(({ proof }) => (proof.unasked ?? 0) > 0);
  if (some.length === 0) return [];
  const count = some.reduce((sum, { proof }) => sum + proof.unasked!, 0);
  const why =
    prompts.turns === undefined
      ? "nobody here could count them beforehand, which needs the model's --tokenizer"
      : 'they hold its own answers';
  const text = `${grouped(count)} prompts are as long as the server says: ${why}`;
  return [{ topic: 'lengths', text, loud: false }];
}

/** How lengths that differ lie about the nominal one. */
function scatter({ prompts }: Report, { short, asked }: Side): string {
  const spread = short === 'ISL' ? prompts.islSpread : prompts.oslSpread;
  if (prompts.turns !== undefined && short === 'ISL') return `${grouped(asked)} of a first turn`;
  if (prompts.rows !== undefined) return 'of each row of the dataset';
  if (spread === undefined) return `up to ${grouped(asked)}`;
  return `around ${grouped(asked)} (${spread.kind}:${spread.tokens})`;
}

/** Lengths that were kept, in one line for all sides that share a proof. */
function kept(report: Report, sides: readonly Side[]): Note[] {
  const lengths = [...groupBy(sides, ({ short, asked }) => `${short} ${grouped(asked)}`)].flatMap(
    ([name, ones]) => {
      const total = (of: (proof: LengthProof) => number): number =>
        ones.reduce((sum, { proof }) => sum + of(proof), 0);
      const counted =
        ones.reduce((sum, { level }) => sum + level.requests.good, 0) - total((proof) => proof.unknown);
      const off = total(
        ({ deviations, unasked = 0, estimated: guessed = 0 }) => deviations + unasked + guessed,
      );
      const byUsage = total((proof) => proof.provenByUsage);
      const exact = counted - off;
      if (exact === 0) return [];
      const all = off === 0 && total((proof) => proof.unknown) === 0;
      const who =
        byUsage === counted
          ? "proven by the server's usage"
          : byUsage === 0
            ? "as asked by the local tokenizer's count alone"
            : `as asked: ${grouped(byUsage)} counted by the server, the others by the local tokenizer`;
      const varied = ones.some(({ proof }) => proof.asked === null);
      const length = varied ? `${ones[0]!.short} ${scatter(report, ones[0]!)}` : name;
      return [{ length, share: `${all ? 'all' : 'the other'} ${grouped(exact)}`, who }];
    },
  );
  return [...groupBy(lengths, ({ share, who }) => `${share} ${who}`).values()].map((ones) => {
    const { share, who } = ones[0]!;
    const names = ones.map(({ length }) => length).join(', ');
    return {
      topic: 'lengths',
      text: `${names}: ${share}${ones.length > 1 ? ' of each' : ''} ${who}`,
      loud: false,
    };
  });
}
