import { describe, expect, it } from 'vitest';
import { answerForeign } from '../../src/commands/foreign-flags.ts';
import {
  LOAD_OPTIONS,
  OUTPUT_OPTIONS,
  PROMPT_OPTIONS,
  SPREAD_OPTIONS,
  STACK_OPTIONS,
  SWEEP_OPTIONS,
} from '../../src/commands/options.ts';
import { TARGET_OPTIONS } from '../../src/commands/target-options.ts';

const SWEEP = [
  TARGET_OPTIONS,
  PROMPT_OPTIONS,
  LOAD_OPTIONS,
  SPREAD_OPTIONS,
  SWEEP_OPTIONS,
  OUTPUT_OPTIONS,
  STACK_OPTIONS,
].flatMap((options) => Object.keys(options));

const answer = (...words: string[]): string | undefined => answerForeign(words, SWEEP)?.lines.join('; ');

describe('flags of other tools', () => {
  it.each([
    ['--num-prompts', "sglang's --num-prompts is --requests here"],
    ['--num_prompts=5', "sglang's --num_prompts is --requests here"],
    ['--request-rate', "sglang's --request-rate is --rate here (for inf leave it out)"],
    ['--max-concurrency', "sglang's --max-concurrency is --concurrency here"],
    ['--base-url', "sglang's --base-url is --url here"],
    ['--goodput', "vLLM's --goodput is --slo here (--slo ttft=2s,tpot=50ms)"],
    ['--streaming', "AIPerf's --streaming has no place here: requests are always streamed"],
    ['--random-input-len', "sglang's --random-input-len is --isl here"],
    ['--random-output-len', "sglang's --random-output-len is --osl here"],
    ['--input-len', "vLLM's --input-len is --isl here"],
    ['--backend', "sglang's --backend is --server here (requests are those of OpenAI chat)"],
    ['--dataset-name', "sglang's --dataset-name is --dataset here"],
    ['--target', "guidellm's --target is --url here"],
    ['--profile', "guidellm's --profile is --concurrency here (or --rate for an open loop)"],
    ['--rate-type', "guidellm's --rate-type is --concurrency here (or --rate for an open loop)"],
    ['--data', "guidellm's --data is --isl and --osl here (or --dataset)"],
    ['--synthetic-input-tokens-mean', "AIPerf's --synthetic-input-tokens-mean is --isl here"],
    ['--request-count', "AIPerf's --request-count is --requests here"],
    ['-m', "AIPerf's -m is --model here"],
  ])('%s is answered', (word, line) => {
    expect(answer(word, 'value')).toBe(line);
  });

  it('are answered once each, with anything between them', () => {
    expect(answer('run', '--num-prompts', '3', '--isl', '4', '--num-prompts=4', '--target', 'x')).toBe(
      "sglang's --num-prompts is --requests here; guidellm's --target is --url here",
    );
  });

  it('are not looked for in values, nor where a command has the flag itself, or lacks what it would be', () => {
    expect(answer('--url', 'num-prompts', '--url=--num-prompts 3', '--frobnicate')).toBeUndefined();
    expect(answerForeign(['--num-prompts'], [...SWEEP, 'num-prompts'])).toBeNull();
    expect(answerForeign(['--num-prompts', '--streaming'], ['url'])).toBeNull();
    expect(answerForeign(['--base-url', '--num-prompts'], ['url'])?.lines).toHaveLength(1);
  });

  it('tell whether bench serving would take them', () => {
    expect(answerForeign(['--num-prompts', '--target'], SWEEP)?.isSglang).toBe(true);
    expect(answerForeign(['--target'], SWEEP)?.isSglang).toBe(false);
  });
});
