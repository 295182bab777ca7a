/** Why what needs root cannot be tested here, told loudly; null when it can. In CI, where all must run, it throws. */
export function rootMissing(what: string): string | null {
  if (process.getuid?.() === 0) return null;
  const missing = 'it needs root';
  if (process.env['CI']) throw new Error(`the real-component suite needs it for ${what}: ${missing}`);
  console.warn(`\n*** NOT RUN: ${what}. ${missing} ***\n`);
  return missing;
}
