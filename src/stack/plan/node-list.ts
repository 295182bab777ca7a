import { usageError } from '../../core/errors.ts';

/**
 * The names of a node list as SLURM writes it, in its order: `ptyche[0336,0341-0342],login1`. Several
 * brackets in a name count like nested loops. Throws (exit 2) for what is no list.
 */
export function expandNodeList(list: string): string[] {
  return splitOutside(list.trim(), list).flatMap((item) => expandItem(item, list));
}

/** Splits at commas that are in no brackets. */
function splitOutside(text: string, whole: string): string[] {
  const items = text.match(/(?:[^,[\]]|\[[^[\]]*\])+/g) ?? [];
  if (items.join(',') !== text || text === '') throw wrong(whole);
  return items;
}

function expandItem(item: string, whole: string): string[] {
  const bracket = /^([^[\]]*)\[([^[\]]*)\](.*)$/.exec(item);
  if (bracket === null) return [item];
  const [, before, ranges, after] = bracket as unknown as [string, string, string, string];
  const tails = expandItem(after, whole);
  return ranges
    .split(',')
    .flatMap((range) => expandRange(range, whole))
    .flatMap((number) => tails.map((tail) => `${before}${number}${tail}`));
}

/** `0341-0343` with its leading zeros. */
function expandRange(range: string, whole: string): string[] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(range);
  if (match === null) throw wrong(whole);
  const [, first, last = first] = match as unknown as [string, string, string | undefined];
  const count = Number(last) - Number(first) + 1;
  if (count < 1 || count > 65_536) throw wrong(whole);
  const width = first.startsWith('0') ? first.length : 0;
  return Array.from({ length: count }, (_, i) => String(Number(first) + i).padStart(width, '0'));
}

function wrong(list: string) {
  return usageError(`"${list}" is no list of nodes`, 'write a,b or node[1-3], as squeue and scontrol do');
}
