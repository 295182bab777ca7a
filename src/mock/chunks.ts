import type { Api } from './generation-request.ts';

/** Token counts of an answer so far. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

/** Writes the JSON of one answer in the shape of its API. Texts are given escaped for JSON. */
export class ChunkMaker {
  readonly #api: Api;
  readonly #head: string;

  constructor(api: Api, id: string, createdS: number, model: string) {
    this.#api = api;
    const object = api === 'chat' ? 'chat.completion.chunk' : 'text_completion';
    this.#head = `{"id":"${id}","object":"${object}","created":${createdS},"model":${JSON.stringify(model)},"choices":[`;
  }

  role(usage: Usage | null): string {
    return this.#chat('{"role":"assistant","content":""}', 'null', usage);
  }

  text(reasoning: string, content: string, usage: Usage | null): string {
    if (this.#api === 'completions') return this.#completion(reasoning + content, 'null', usage);
    const thought = reasoning === '' ? '' : `"reasoning_content":"${reasoning}"`;
    const said = content === '' && reasoning !== '' ? '' : `"content":"${content}"`;
    return this.#chat(`{${thought}${thought !== '' && said !== '' ? ',' : ''}${said}}`, 'null', usage);
  }

  finish(reason: string, usage: Usage | null): string {
    return this.#api === 'chat'
      ? this.#chat('{}', `"${reason}"`, usage)
      : this.#completion('', `"${reason}"`, usage);
  }

  usage(usage: Usage): string {
    return `${this.#head}]${usageField(usage)}}`;
  }

  #chat(delta: string, finishReason: string, usage: Usage | null): string {
    return `${this.#head}{"index":0,"delta":${delta},"finish_reason":${finishReason}}]${usageField(usage)}}`;
  }

  #completion(text: string, finishReason: string, usage: Usage | null): string {
    return `${this.#head}{"index":0,"text":"${text}","logprobs":null,"finish_reason":${finishReason}}]${usageField(usage)}}`;
  }
}

function usageField(usage: Usage | null): string {
  return usage === null ? '' : `,"usage":${JSON.stringify(usageObject(usage))}`;
}

/** Usage as the OpenAI API writes it. */
export function usageObject({
  promptTokens,
  completionTokens,
  cachedTokens,
}: Usage): Record<string, unknown> {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}
