import leven from 'leven';

/** What of the known names was probably meant by an unknown one; null when none is near. */
export function nearest(name: string, known: readonly string[]): string | null {
  const [best] = known
    .map((one) => ({ one, distance: leven(name, one) }))
    .sort((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= Math.max(1, Math.floor(name.length / 4)) ? best.one : null;
}

/** `did you mean --x?` for words with dashes that are near to a flag of `known`, which has none; null when none is. */
export function suggestFlags(words: readonly string[], known: readonly string[]): string | null {
  const meant = words.flatMap((word) => {
    const name = /^--?(.*)$/s.exec(word)?.[1]?.replaceAll('_', '-').toLowerCase();
    const flag = name === undefined ? null : nearest(name, known);
    return flag === null ? [] : [`--${flag}`];
  });
  return meant.length === 0 ? null : `did you mean ${[...new Set(meant)].join(', ')}?`;
}
