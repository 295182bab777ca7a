/** Control characters (C0, DEL, C1), separators of lines and paragraphs, and those that turn the direction of text around. */
const CONTROL = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
const DELETE = 0x7f;

/**
 * The text with its control characters as escapes, so that no text of a server or file moves a terminal's cursor or
 * hides what stands beside it: `\x1b`, and from DEL on `\u009b`, so that JSON text stays the same JSON. Line feeds and
 * tabs stay.
 */
export function printable(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(CONTROL, (character) => {
    if (character === '\n' || character === '\t') return character;
    const code = character.charCodeAt(0);
    return code < DELETE
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** The text as `printable` has it, on one line: each line feed or tab is a blank. */
export function printableLine(text: string): string {
  return printable(text).replace(/[\n\t]+/g, ' ');
}
