import leven from 'leven';

/** What was probably meant, or what there is: the end of a message about an unknown name. */
export function suggest(name: string, known: readonly string[]): string {
  const nearest = known
    .map((one) => ({ one, distance: leven(name.toLowerCase(), one.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0];
  if (nearest !== undefined && nearest.distance <= Math.max(2, Math.floor(name.length / 3)))
    return `did you mean "${nearest.one}"?`;
  return known.length === 0 ? 'there is none' : `known: ${known.join(', ')}`;
}
