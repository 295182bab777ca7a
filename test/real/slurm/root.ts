/** Why what needs root cannot be tested here; null when it can. */
export function rootMissing(): string | null {
  return process.getuid?.() === 0 ? null : 'it needs root';
}
