import { describe, expect, it } from 'vitest';
import { isSecretName } from '../../src/stack/file/redaction.ts';

describe('a variable', () => {
  it.each([
    'HF_TOKEN',
    'NGC_TOKEN',
    'GITHUB_TOKEN',
    'TOKEN',
    'OPENAI_API_KEY',
    'NGC_API_KEY',
    'MY_SECRET',
    'DB_PASSWORD',
    'MAX_API_TOKEN',
  ])('%s is kept out of files', (name) => {
    expect(isSecretName(name)).toBe(true);
  });

  it.each([
    'TOKENIZER',
    'MAX_NUM_TOKENS',
    'TOKEN_MS',
    'EOS_TOKEN_ID',
    'SSH_KEY_PATH',
    'PATH',
    'MODEL_PATH',
  ])('%s is not', (name) => {
    expect(isSecretName(name)).toBe(false);
  });
});
