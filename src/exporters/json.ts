import type { Report } from '../core/report.ts';

/** `report.json`: the report itself, indented by 2 spaces, arrays of numbers on one line. */
export function reportJson(report: Report): string {
  return `${pretty(report, '')}\n`;
}

/** What JSON.stringify gives with an indent of 2, but for arrays of numbers. */
function pretty(value: unknown, indent: string): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item === 'number')) return JSON.stringify(value);
    const items = value.map((item) => inner + pretty(item, inner));
    return `[\n${items.join(',\n')}\n${indent}]`;
  }
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .map(([key, field]) => `${inner}${JSON.stringify(key)}: ${pretty(field, inner)}`);
  return fields.length === 0 ? '{}' : `{\n${fields.join(',\n')}\n${indent}}`;
}
