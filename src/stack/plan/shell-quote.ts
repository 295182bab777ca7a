/** A word as a shell reads it back; left as it is where that needs no quotes. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) && !/^[\w]+=/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A command on one line. */
export function shellLine(words: readonly string[]): string {
  return words.map(shellQuote).join(' ');
}
