const ESC = String.fromCharCode(27);
const BEL = String.fromCharCode(7);
/** Colours and cursor movements (CSI), titles (OSC), and two-letter sequences. */
const ANSI = new RegExp(
  `${ESC}(?:\\[[0-?]*[ -/]*[@-~]|\\][^${BEL}${ESC}]*(?:${BEL}|${ESC}\\\\)|[@-Z\\\\^_])`,
  'g',
);
/** srun's `--label`: the rank, padded on the left to the width of the largest one. */
const LABEL = /^ {0,8}(\d{1,7}):(?: |$)/;
/** Fields of a JSON log record that are told elsewhere in the text, or of no use in it. */
const TOLD = new Set(['time', 'level', 'target', 'message', 'file', 'line', 'service']);

/** A line of a step's output as a person reads it. */
export interface LogLine {
  /** Rank that wrote it; null where lines carry no label. */
  readonly rank: number | null;
  /** Without label, colours and carriage returns. A JSON record's message may hold line breaks. */
  readonly text: string;
}

/**
 * Takes a line of a step's log apart. `labelled`: the log was written by `srun --label`; without it a line
 * that happens to start with a number and a colon keeps both. A JSON record, as Dynamo writes with
 * `DYN_LOGGING_JSONL=1`, becomes the line that Dynamo writes without it.
 */
export function parseLogLine(raw: string, labelled = true): LogLine {
  const label = labelled ? LABEL.exec(raw) : null;
  const text = plainText(label === null ? raw : raw.slice(label[0].length));
  return { rank: label === null ? null : Number(label[1]), text: recordText(text) ?? text };
}

/** What a terminal would show of the line in the end: no colours, only what follows the last return. */
export function plainText(text: string): string {
  const plain = text.includes(ESC) ? text.replace(ANSI, '') : text;
  const line = plain.replace(/\r+$/, '');
  return line.slice(line.lastIndexOf('\r') + 1).trimEnd();
}

/** `TIME LEVEL TARGET: MESSAGE key="value" …` of a JSON log record; null when it is none. */
function recordText(text: string): string | null {
  if (!text.startsWith('{"') || !text.endsWith('}')) return null;
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(record) || typeof record['message'] !== 'string') return null;
  const target = record['log.target'] ?? record['target'];
  const head = [record['time'], record['level'], target === undefined ? undefined : `${String(target)}:`];
  const fields = Object.entries(record)
    .filter(([key]) => !TOLD.has(key) && !key.startsWith('log.'))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return [...head.filter((part) => part !== undefined), record['message'], ...fields].join(' ');
}

/** Levels stand at the head of a line, behind its time. */
const HEAD_LENGTH = 80;
const ERROR_LEVEL =
  /(?:^|[\s[(|])(?:ERROR|ERR|CRITICAL|FATAL|FTL|[CEF])(?=[\s\]):|])|^(?:[\w.]*(?:Error|Exception)|[Ee]rror|[Ff]atal): /;
const OTHER_LEVEL =
  /(?:^|[\s[(|])(?:(?<warning>WARN|WARNING|WRN|W)|TRACE|TRC|DEBUG|DBG|INFO|INF|NOTICE|[DIN])(?=[\s\]):|])/;

/** The level of a line by the logger that wrote it (Rust's, Python's, those of NATS, etcd and TensorRT-LLM); null when it has none. */
export function levelOf(text: string): 'error' | 'warning' | 'other' | null {
  const head = text.slice(0, HEAD_LENGTH);
  const error = ERROR_LEVEL.exec(head);
  const other = OTHER_LEVEL.exec(head);
  if (error !== null && (other === null || error.index <= other.index)) return 'error';
  if (other === null) return null;
  return other.groups!['warning'] === undefined ? 'other' : 'warning';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
