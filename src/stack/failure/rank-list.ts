/** Most ranks that one list may name: a step has thousands of tasks, not millions. */
const MOST_RANKS = 1_000_000;

/** The ranks of a list as SLURM prints it: `2`, `[0-3]`, `0-1,3`. What is no number or range is left out. */
export function parseRanks(list: string): number[] {
  const ranks: number[] = [];
  for (const part of list.replace(/[[\]]/g, '').split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
    if (match === null) continue;
    const from = Number(match[1]);
    const to = Math.min(match[2] === undefined ? from : Number(match[2]), from + MOST_RANKS);
    for (let rank = from; rank <= to; rank++) ranks.push(rank);
  }
  return ranks;
}
