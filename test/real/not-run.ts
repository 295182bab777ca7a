/**
 * Says loudly that tests are left out and why; null when nothing is missing. In CI, where all must run, it throws.
 * Gives `missing` back, for `describe.skipIf(… !== null)`.
 */
export function notRun(what: string, missing: string | null): string | null {
  if (missing === null) return null;
  if (process.env['CI']) throw new Error(`the real-component suite needs it for ${what}: ${missing}`);
  console.warn(`\n*** NOT RUN: ${what}. ${missing} ***\n`);
  return missing;
}
