/** A value of a CSV cell; null becomes an empty cell. */
export type CsvValue = string | number | null;

/** One line of CSV with its newline, quoted by RFC 4180. Lines end with LF, not CRLF, for Unix tools. */
export function csvLine(values: readonly CsvValue[]): string {
  return `${values.map(csvCell).join(',')}\n`;
}

function csvCell(value: CsvValue): string {
  if (value === null) return '';
  const text = String(value);
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
