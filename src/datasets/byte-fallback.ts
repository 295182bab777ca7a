const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** What a decoder of @huggingface/tokenizers is made of; its own declarations do not resolve here. */
interface PortedDecoder {
  readonly config: { readonly type: string };
  added_tokens: readonly unknown[];
  /** The parts of a sequence. */
  readonly decoders?: readonly PortedDecoder[];
  decode_chain(tokens: readonly string[]): string[];
}

/**
 * Makes a decoder do as the native library's where the ported one differs: a run of byte tokens that is no UTF-8 as a
 * whole becomes one U+FFFD for each byte, a byte order mark stays, and a byte-level decoder within a sequence leaves
 * added tokens as they are.
 */
export function decodeAsNative(decoder: PortedDecoder | null): void {
  if (decoder === null) return;
  for (const part of decoder.decoders ?? [decoder]) {
    part.added_tokens = decoder.added_tokens;
    if (part.config.type === 'ByteFallback') part.decode_chain = decodeByteRuns;
  }
}

function decodeByteRuns(tokens: readonly string[]): string[] {
  const decoded: string[] = [];
  const run: number[] = [];
  const endRun = (): void => {
    if (run.length > 0) decoded.push(decodeRun(run.splice(0)));
  };
  for (const token of tokens) {
    const byte = BYTE_TOKEN.exec(token)?.[1];
    if (byte !== undefined) run.push(Number.parseInt(byte, 16));
    else {
      endRun();
      decoded.push(token);
    }
  }
  endRun();
  return decoded;
}

function decodeRun(bytes: readonly number[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return '\ufffd'.repeat(bytes.length);
  }
}
