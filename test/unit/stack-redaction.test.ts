import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { isSecretName, keptText, redactPlan, secretsOf, strikeOut } from '../../src/stack/file/redaction.ts';
import { localPlan, localStep } from './stack-steps.ts';

describe('names of secrets', () => {
  it.each([
    'HF_TOKEN',
    'MY_TOKEN',
    'TOKEN',
    'NGC_API_KEY',
    'AWS_SECRET_ACCESS_KEY',
    'DB_PASSWORD',
    'HF_API_TOKENS',
    'GIT_CREDENTIALS',
  ])('%s is one', (name) => {
    expect(isSecretName(name)).toBe(true);
  });

  it.each([
    'MAX_TOKENS',
    'TRTLLM_MAX_NUM_TOKENS',
    'TOKEN_MS',
    'EOS_TOKEN_ID',
    'TOKENIZER',
    'TOKENIZERS_PARALLELISM',
    'SSH_KEY_FILE',
    'PATH',
  ])('%s is none', (name) => {
    expect(isSecretName(name)).toBe(false);
  });
});

describe('a stack file that is kept', () => {
  const FILE = `# a comment
env:
  HF_TOKEN: \${env:HF_TOKEN}   # stays
  MY_TOKEN: literal-one
  QUOTED_KEY: "literal: two"
  DEFAULT_SECRET: \${env:X:-literal-three}
  MAX_TOKENS: 4096
  BLOCK_PASSWORD: |
    literal-four
services:
  a:
    env: {OTHER_TOKEN: 'literal-five', PLAIN: kept}
    command: [x, --with, literal-one]
    ports: {key: 8000}
`;

  it('has no value of a secret, and everything else as it stood', () => {
    const kept = keptText(FILE);
    expect(kept).not.toContain('literal');
    expect(parse(kept)).toEqual({
      env: {
        HF_TOKEN: '${env:HF_TOKEN}',
        MY_TOKEN: '***',
        QUOTED_KEY: '***',
        DEFAULT_SECRET: '***',
        MAX_TOKENS: 4096,
        BLOCK_PASSWORD: '***',
      },
      services: {
        a: {
          env: { OTHER_TOKEN: '***', PLAIN: 'kept' },
          command: ['x', '--with', '***'],
          ports: { key: 8000 },
        },
      },
    });
    expect(kept).toContain('# a comment\n');
    expect(kept).toContain('# stays');
  });

  it('without secrets is the file itself', () => {
    const plain = 'schema: 1\n\nenv: {A: b}   # x\n';
    expect(keptText(plain)).toBe(plain);
  });
});

describe('a plan that is kept', () => {
  it('has no value of a secret, but those too short to be told from other text', () => {
    const env = { MY_TOKEN: 'literal-one', A_KEY: 'abc', PLAIN: 'abc literal-one' };
    const plan = localPlan('r', [
      localStep('a-0', ['x', '--a=literal-one', 'abc'], '/x', { env }),
      localStep('b-0', ['y'], '/x', { env }),
    ]);
    expect(secretsOf(plan)).toEqual(['literal-one']);
    const [step] = redactPlan(plan).steps;
    expect(step!.env).toEqual({ MY_TOKEN: '***', A_KEY: '***', PLAIN: 'abc ***' });
    expect(step!.argv).toEqual(['x', '--a=***', 'abc']);
    expect(strikeOut('a literal-one, twice: literal-one', secretsOf(plan))).toBe('a ***, twice: ***');
  });
});
