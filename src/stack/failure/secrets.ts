/** Values of such names, as they stand in dumps of an environment or a command line; not `max_tokens: 8192`. */
const NAMED =
  /((?:api[_-]?key|access[_-]?key|secret|passw(?:or)?d|[_-]token|"token)["']?\s*[=:]\s*["']?)(?!\*\*\*|\d+\b)([^\s"',;&]{4,})/gi;
/** Tokens that show what they are: Hugging Face, OpenAI, NVIDIA, GitHub. */
const TOKENS = /\b(hf_|sk-|nvapi-|ghp_|github_pat_)[A-Za-z0-9_-]{12,}/g;
const BEARER = /\b(Bearer\s+)[A-Za-z0-9._~+/=-]{8,}/gi;
const IN_URL = /(:\/\/[^\s/:@]+:)[^\s/@]+(@)/g;

/** The text with what looks like a secret replaced by `***`: log lines go into reports. */
export function withoutSecrets(text: string): string {
  return text
    .replace(TOKENS, '$1***')
    .replace(BEARER, '$1***')
    .replace(IN_URL, '$1***$2')
    .replace(NAMED, '$1***');
}
