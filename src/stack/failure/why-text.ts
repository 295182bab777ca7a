import type { Why } from './why.ts';

/** The failure in one line: class, where, exit code, what happened. */
export function whyLine(why: Why): string {
  const where = [
    why.step ?? '',
    why.rank === null ? '' : `rank ${why.rank}`,
    why.node === null ? '' : `on ${why.node}`,
  ].filter((part) => part !== '');
  const told = why.message.includes(`code ${why.exitCode}`);
  const code = why.exitCode === null || told ? '' : ` (exit code ${why.exitCode})`;
  return `${why.failureClass}: ${where.length === 0 ? '' : `${where.join(' ')}: `}${why.message}${code}`;
}

/** The failure as a block: the line, what to do, where the log is, and the lines around the one that tells. */
export function whyText(why: Why): string {
  const lines = [whyLine(why)];
  if (why.hint !== null) lines.push(`hint: ${why.hint}`);
  if (why.logFile !== null) lines.push(`log: ${why.logFile}`);
  if (why.evidence !== null) {
    const { before, line, after } = why.evidence;
    lines.push(...before.map((text) => `    ${text}`), `  > ${line}`, ...after.map((text) => `    ${text}`));
  }
  return lines.join('\n');
}
