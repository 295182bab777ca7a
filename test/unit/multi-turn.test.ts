import { describe, expect, it } from 'vitest';
import { closedLoads, makePoints } from '../../src/commands/levels.ts';
import { prepareJob } from '../../src/commands/prompt-supply.ts';
import type { RunSpec } from '../../src/core/spec.ts';
import { iteratePrompts, openTokenizer } from '../../src/datasets/index.ts';
import { Client } from '../../src/endpoints/client.ts';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';
import { makeReport } from '../fixtures/report.ts';

const TURNS = { count: 3, isl: 7, thinkMs: 0 };

function spec(): RunSpec {
  const { spec } = makeReport();
  const loads = closedLoads({
    ...{ levels: [2], turns: 3, requestsPerConcurrency: 1, requests: null, durationMs: null, warmup: 2 },
  });
  return {
    ...spec,
    dataset: 'multi-turn',
    points: makePoints([{ isl: 60, osl: 5 }], loads),
    prompts: { ...spec.prompts, tokenizer: 'embedded', islCounts: 'prompt', text: 'words', turns: TURNS },
  };
}

describe('prompts of conversations', () => {
  it('are as long as the level says in a first turn and in a warm-up, and so many tokens of bare text behind it', async () => {
    const run = spec();
    expect(run.points[0]).toMatchObject({ concurrency: 2, requests: 6 });
    const tokenizer = await openTokenizer('embedded');
    const firstTurns: (number | null)[] = [];
    const later: number[] = [];
    for await (const made of iteratePrompts(prepareJob(run, run.points, false))) {
      if (made.phase === 'warmup' || made.index % 3 === 0) firstTurns.push(made.isl);
      else later.push(tokenizer.encode(made.text).length);
    }
    expect(firstTurns).toEqual(Array(4).fill(60));
    expect(later).toEqual(Array(4).fill(7));
  });

  it('are made as whole conversations where a time bounds them, so that one that is used again keeps its turn', () => {
    const run = spec();
    const timed = { ...run.points[0]!, requests: null, durationMs: 1_000 };
    const [entry] = prepareJob({ ...run, holdLoad: true }, [timed], false).points;
    expect(entry!.counts.measured % 3).toBe(0);
    expect(entry!.counts.measured).toBeGreaterThan(0);
    expect(entry!.counts.hold).toBe(2 * 3 * 2);
  });
});

describe('the content of a next turn', () => {
  it('makes a body of all that was said, whatever the answer holds', () => {
    const client = new Client([], { dialect: openaiChat } as unknown as ConstructorParameters<
      typeof Client
    >[1]);
    const text = (words: string): Uint8Array => Buffer.from(JSON.stringify(words).slice(1, -1));
    const answer = 'He said "no"\n\\ and \u0001 left 🙂';
    const first = client.follow(text('one "1"'), Buffer.from(answer), text('two'));
    const second = client.follow(first, Buffer.from('fine'), text('three'));
    const { before, after } = openaiChat.frame({ model: 'm', maxTokens: 5 }, new Set(), {});
    const body = JSON.parse(before + Buffer.from(second).toString() + after) as { messages: unknown };
    expect(body.messages).toEqual([
      { role: 'user', content: 'one "1"' },
      { role: 'assistant', content: answer },
      { role: 'user', content: 'two' },
      { role: 'assistant', content: 'fine' },
      { role: 'user', content: 'three' },
    ]);
  });
});
