/** What the mock needs of a tokenizer. It is injected, so that the client's own can be given. */
export interface MockTokenizer {
  /** Tokens of a chat prompt, template included. */
  countPrompt(messages: readonly { role: string; content: string }[]): number;
  /** Tokens of a bare text. */
  count(text: string): number;
  /** Words that are one token each after a space, in any order. At least one. */
  readonly words: readonly string[];
}
