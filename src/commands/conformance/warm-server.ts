import { Agent } from 'undici';

/** Rounds of so many requests at once, of so many tokens: the code of every path has then run often enough. */
const ROUNDS = 2;
const AT_ONCE = 32;
const TOKENS = 12;

/**
 * Makes a fresh mock server do what it will be measured at, so that no client gets a cold one; the number of
 * requests, which stand in its log before those of the client. No fault strikes them, and they take no part in
 * the dice.
 */
export async function warmServer(url: string, signal: AbortSignal): Promise<number> {
  // Directly, by none of the proxies that the environment names.
  const dispatcher = new Agent();
  for (let round = 0; round < ROUNDS; round++)
    await Promise.all(
      Array.from({ length: AT_ONCE }, (_, i) => ask(url, `warm ${round} ${i} up`, dispatcher, signal)),
    );
  await dispatcher.close();
  return ROUNDS * AT_ONCE;
}

async function ask(url: string, content: string, dispatcher: Agent, signal: AbortSignal): Promise<void> {
  const { body } = await dispatcher.request({
    origin: url,
    path: '/v1/chat/completions',
    method: 'POST',
    // A good answer on a connection that is then closed.
    headers: { 'content-type': 'application/json', 'x-mock-fault': 'close' },
    body: JSON.stringify({
      model: 'mock',
      messages: [{ role: 'user', content }],
      stream: true,
      max_tokens: TOKENS,
    }),
    // One of its own: they would be too many listeners of one signal.
    signal: AbortSignal.any([signal]),
  });
  await body.text();
}
