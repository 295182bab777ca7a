import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { metricSources } from '../../src/commands/metric-sources.ts';
import { ServerWatch } from '../../src/commands/server-watch.ts';
import { serverSideOf } from '../../src/core/server-side.ts';
import { Control } from '../../src/endpoints/control.ts';
import { parseTarget } from '../../src/endpoints/target.ts';
import { startClock } from '../../src/host/clock.ts';
import { type MockTokenizer, parseMockOptions, startMock } from '../../src/mock/server.ts';
import { makeRecord } from '../fixtures/records.ts';

const TOKENIZER: MockTokenizer = {
  count: (text) => text.split(/\s+/).length,
  countPrompt: (messages) => messages.length,
  words: ['alpha', 'beta', 'gamma'],
};
const ACCESS = (url: string) => ({ targets: [parseTarget(url)], headers: [], tls: null });

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function serve(answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server: Server = createServer(answer!);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('the server’s own metrics around a level', () => {
  it('are those of the mock’s schedule: TTFT, decode and requests at work', async () => {
    const mock = await startMock(parseMockOptions({ port: 0, ttft: '700ms', step: '50ms' }), TOKENIZER);
    const sources = metricSources(undefined, { ownPath: '/metrics', stackDir: null }, ACCESS(mock.url), []);
    closing.push(
      () => mock.close(),
      ...sources.map(
        ({ control }) =>
          () =>
            control.close(),
      ),
    );
    const ask = async (): Promise<void> => {
      const body = {
        model: 'mock',
        messages: [{ role: 'user', content: 'a b' }],
        stream: true,
        max_tokens: 11,
      };
      const answer = await fetch(`${mock.url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify(body),
      });
      await answer.text();
    };
    const clock = startClock();
    await ask();
    const watch = new ServerWatch(null, sources, clock);
    await watch.before();
    const startedAtMs = clock.now();
    await Promise.all([ask(), ask(), ask()]);
    const endedAtMs = clock.now();
    const sent = [0, 1, 2].map(() => makeRecord({ gapsMs: [710, 1] }));
    const { sources: seen } = await watch.after(sent, false);
    const side = serverSideOf(seen, { startedAtMs, endedAtMs, sent });
    // The request before the level is not in its numbers.
    expect(side.engine!.ttftMs).toMatchObject({ count: 3, p50: { fromMs: 500, toMs: 1_000 } });
    expect(side.engine!.decodeMs!.meanMs).toBeCloseTo(500, 6);
    expect(side.engine!.e2eMs!.meanMs).toBeCloseTo(1_200, 6);
    expect(side.engine!.running).toMatchObject({ mean: 3, max: 3 });
    expect(side.sources).toMatchObject([{ by: 'target', samples: 1, failures: 0 }]);
    expect(side.waterfall).toMatchObject({ requests: 3, doubt: null, reason: null });
    expect(side.waterfall.partsMs['prefill']).toBeCloseTo(700, 6);
    expect(side.waterfall.partsMs['unexplained']).toBeCloseTo(10, 6);
  });

  it('spoil no level where an address is silent, huge, broken or no server of metrics', async () => {
    let sentBytes = 0;
    const line = `${'x'.repeat(1_023)}\n`.repeat(1_024);
    const url = await serve((request, response) => {
      if (request.url === '/silent') return;
      if (request.url === '/broken') response.writeHead(500).end('no');
      else if (request.url === '/page') response.end('<html></html>');
      else {
        const more = (): void => {
          sentBytes += line.length;
          if (!response.destroyed && sentBytes < 5e8) response.write(line, more);
        };
        more();
      }
    });
    const sources = ['/silent', '/broken', '/page', '/huge', ''].map((path) => {
      const target = parseTarget(path === '' ? 'http://127.0.0.1:1/gone' : url);
      const control = new Control({ target, tls: null, headers: [], timeoutMs: 300, usesProxies: false });
      closing.push(() => control.close());
      return { url: target.url + path, by: 'given' as const, path, control };
    });
    const watch = new ServerWatch(null, sources, startClock());
    await watch.before();
    const { sources: seen } = await watch.after([], false);
    expect(
      seen.map(({ samples, failures, before, after }) => [samples.length, failures, before, after]),
    ).toEqual(seen.map(() => [0, 2, null, null]));
    expect(seen.map(({ firstFailure }) => firstFailure)).toEqual([
      expect.stringMatching(/timeout|aborted/),
      'status 500',
      'none of the known metrics is in the answer',
      expect.stringContaining('more than 4194304 bytes'),
      expect.stringContaining('ECONNREFUSED'),
    ]);
    // What was sent into the socket before it was closed, not all that there was.
    expect(sentBytes).toBeLessThan(1e8);
  });

  it('are asked for with credentials at the target’s own origin alone', async () => {
    const seen: Record<string, string | undefined> = {};
    const note = (name: string) =>
      serve((request, response) => {
        seen[name + request.url] = request.headers.authorization;
        response.end('vllm:num_requests_running 1\n');
      });
    const [own, other] = [await note('own'), await note('other')];
    const headers = [['Authorization', 'Bearer SECRET']] as const;
    const asked = [`${own}/more/metrics`, `${other}/metrics`];
    const sources = metricSources(asked, { ownPath: null, stackDir: null }, ACCESS(own), headers);
    closing.push(
      ...sources.map(
        ({ control }) =>
          () =>
            control.close(),
      ),
    );
    for (const { control, path } of sources) expect((await control.get(path)).status).toBe(200);
    expect(seen).toEqual({ 'own/more/metrics': 'Bearer SECRET', 'other/metrics': undefined });
  });
});
