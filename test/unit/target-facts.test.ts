import { expect, it } from 'vitest';
import type { Canary, ConnectSpec } from '../../src/commands/connect.ts';
import type { Identified } from '../../src/commands/identify.ts';
import { targetFacts } from '../../src/commands/target-facts.ts';
import type { Control } from '../../src/endpoints/control.ts';
import { SERVERS } from '../../src/endpoints/servers.ts';
import { parseTarget } from '../../src/endpoints/target.ts';

it.each([
  ['vllm', true, 'http://h:8000/metrics'],
  ['trtllm', true, 'http://h:8000/prometheus/metrics'],
  ['trtllm', false, null],
  ['openai', true, null],
])('the metrics address of %s, with metrics: %s, is %s', (name, hasMetrics, url) => {
  const identified = { server: SERVERS.find((one) => one.name === name), hasMetrics, modelsListed: null };
  const record = { firstAtMs: null, sentAtMs: 1, endAtMs: 2, osl: { by: 'usage' } };
  const facts = targetFacts(
    { urls: ['http://h:8000'] } as unknown as ConnectSpec,
    identified as unknown as Identified,
    { finished: { record }, edits: { capField: 'max_tokens' }, refusedFields: [] } as unknown as Canary,
    [{ target: parseTarget('http://h:8000') } as unknown as Control],
    null,
  );
  expect(facts.metricsUrl).toBe(url);
});
