/** The status line and the headers of a response. */
export interface ResponseHead {
  readonly status: number;
  readonly http11: boolean;
  /** By lower-case name; values of one name are joined by commas. */
  readonly headers: ReadonlyMap<string, string>;
}

/** Reads a head without its empty line; what is wrong with it when it is none of HTTP/1.0 or 1.1. */
export function parseHead(text: string): ResponseHead | string {
  const lines = text.split('\r\n');
  const match = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [^\r\n]*)?$/.exec(lines[0]!);
  if (!match) return `bad status line "${lines[0]!.slice(0, 80)}"`;
  const headers = new Map<string, string>();
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i]!;
    const colon = line.indexOf(':');
    if (
      colon <= 0 ||
      !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(line.slice(0, colon)) ||
      line.includes('\n') ||
      line.includes('\r')
    ) {
      return `bad header line "${line.slice(0, 80)}"`;
    }
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const old = headers.get(name);
    headers.set(name, old === undefined ? value : `${old}, ${value}`);
  }
  return { status: Number(match[2]), http11: match[1] === '1', headers };
}

/** How a response's body ends. */
export interface Framing {
  readonly keepAlive: boolean;
  /** Its bytes, where they are told. */
  readonly body: number | 'chunked' | 'close';
}

/** The framing that a final head tells; what is wrong with it when that is not certain. */
export function framingOf({ status, http11, headers }: ResponseHead): Framing | string {
  const connection = (headers.get('connection') ?? '').toLowerCase().split(/\s*,\s*/);
  const keepAlive = http11 ? !connection.includes('close') : connection.includes('keep-alive');
  const encoding = headers.get('transfer-encoding');
  const length = headers.get('content-length');
  if (encoding !== undefined && length !== undefined) return 'both transfer-encoding and content-length';
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') {
    return `transfer-encoding "${encoding.slice(0, 40)}"`;
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return `content-length "${length.slice(0, 40)}"`;
  if (status === 204 || status === 304) return { keepAlive, body: 0 };
  if (encoding !== undefined) return { keepAlive, body: 'chunked' };
  return length === undefined ? { keepAlive: false, body: 'close' } : { keepAlive, body: Number(length) };
}

/** The value of a hexadecimal digit, -1 of any other byte. */
export function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
