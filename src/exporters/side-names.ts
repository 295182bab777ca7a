/**
 * Short names of places that lie beside each other: of each path its last part, or as many of its last parts as tell them all apart.
 * Places that are the same get numbers.
 */
export function shortNames(places: readonly string[]): string[] {
  const parts = places.map((place) => place.split(/[/\\]+/).filter((part) => part !== '' && part !== '.'));
  const most = Math.max(...parts.map(({ length }) => length));
  const tails = (count: number): string[] =>
    parts.map((all, nth) => all.slice(-count).join('/') || places[nth]!);
  const different = new Set(tails(most)).size;
  let names = tails(1);
  for (let count = 2; count <= most && new Set(names).size < different; count++) names = tails(count);
  return names.map((name, nth) =>
    names.indexOf(name) === names.lastIndexOf(name)
      ? name
      : `${name} (${names.slice(0, nth + 1).filter((one) => one === name).length})`,
  );
}
