import { describe, expect, it } from 'vitest';
import { type ChatTemplate, loadChatTemplate } from '../../src/datasets/chat-template.ts';

const load = (
  config: Record<string, unknown>,
  templateJinja: string | null = null,
  variables: Record<string, unknown> = {},
  now?: () => Date,
  templateJson: string | null = null,
): ChatTemplate | null =>
  loadChatTemplate(
    {
      ...{ name: 'm', source: '/m/tokenizer.json', tokenizerJson: '{}', configJson: null },
      templateJinja,
      templateJson,
    },
    config,
    variables,
    now,
  );

const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

describe('loadChatTemplate', () => {
  it('renders one user message and the start of the answer', () => {
    const template = load({ chat_template: CHATML })!;
    expect(template.render('hi there')).toBe('<|im_start|>user\nhi there<|im_end|>\n<|im_start|>assistant\n');
    expect(template.frame).toEqual({
      prefix: '<|im_start|>user\n',
      suffix: '<|im_end|>\n<|im_start|>assistant\n',
    });
    expect(template.source).toBe('tokenizer_config.json');
  });

  it('is null without a template', () => {
    expect(load({})).toBeNull();
    expect(load({ chat_template: null })).toBeNull();
  });

  it('takes the file before the config, and `default` of a list', () => {
    const listed = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: '<{{ messages[0].content }}>' },
    ];
    expect(load({ chat_template: listed })!.render('x')).toBe('<x>');
    const both = load({ chat_template: listed }, 'file {{ messages[0].content }}')!;
    expect(both.render('x')).toBe('file x');
    expect(both.source).toBe('chat_template.jinja');
  });

  it('takes `default` of named templates, or the only one, and no other', () => {
    const named = { tool_use: 'tools', default: '<{{ messages[0].content }}>' };
    expect(load({ chat_template: named })!.render('x')).toBe('<x>');
    expect(load({ chat_template: { mine: '({{ messages[0].content }})' } })!.render('x')).toBe('(x)');
    for (const several of [
      { tool_use: 'tools', rag: 'documents' },
      ['tool_use', 'rag'].map((name) => ({ name, template: name })),
      {},
      [],
      [null],
      { default: 7 },
    ])
      expect(load({ chat_template: several })).toBeNull();
  });

  it('reads chat_template.json where neither the file nor the config has one', () => {
    const text = '[{{ messages[0].content }}]';
    for (const content of [
      { chat_template: text },
      { chat_template: { default: text, tool_use: 'tools' } },
      { chat_template: [{ name: 'default', template: text }] },
      { default: text, tool_use: 'tools' },
      text,
    ]) {
      const template = load({}, null, {}, undefined, JSON.stringify(content))!;
      expect(template.render('x')).toBe('[x]');
      expect(template.source).toBe('chat_template.json');
    }
    const json = JSON.stringify({ chat_template: text });
    expect(load({ chat_template: CHATML }, null, {}, undefined, json)!.source).toBe('tokenizer_config.json');
    expect(load({}, 'file', {}, undefined, json)!.source).toBe('chat_template.jinja');
    expect(load({}, null, {}, undefined, '{"chat_template": null}')).toBeNull();
    expect(() => load({}, null, {}, undefined, '{"chat_template": ')).toThrow(
      'chat_template.json of /m/tokenizer.json is not JSON',
    );
  });

  it('gives special tokens, written as text or as objects', () => {
    const config = {
      bos_token: { __type: 'AddedToken', content: '<s>' },
      eos_token: '</s>',
      chat_template: '{{ bos_token }}[INST] {{ messages[0].content | trim }} [/INST]{{ eos_token }}',
    };
    expect(load(config)!.render('a b')).toBe('<s>[INST] a b [/INST]</s>');
  });

  it('trims blocks as transformers does', () => {
    const text = '{% for m in messages %}\n  {% if true %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}\n';
    expect(load({ chat_template: text })!.render('x')).toBe('x\n');
  });

  it('prints the date in English', () => {
    const text = "{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%B') }} {{ messages[0].content }}";
    const template = load({ chat_template: text }, null, {}, () => new Date(2026, 2, 5, 12));
    expect(template!.render('x')).toBe('05 Mar 2026|March x');
  });

  it('has tools and documents undefined to nobody, and none', () => {
    const text =
      '{% if tools is defined and tools is none and documents is none %}{{ messages[0].content }}{% endif %}';
    expect(load({ chat_template: text })!.render('x')).toBe('x');
  });

  it('hands on the variables of the request', () => {
    const text =
      '{{ messages[0].content }}{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}';
    expect(load({ chat_template: text })!.render('x')).toBe('x');
    expect(load({ chat_template: text }, null, { enable_thinking: false })!.render('x')).toBe(
      'x<think></think>',
    );
  });

  it('sees that a template is no frame', () => {
    expect(load({ chat_template: '{{ messages[0].content }}{{ messages[0].content }}' })!.frame).toBeNull();
    expect(load({ chat_template: '{{ messages[0].content | length }}' })!.frame).toBeNull();
  });

  it.each(["{{ raise_exception('only with a system prompt') }}", '{% for %}'])('refuses %s', (text) => {
    expect(() => load({ chat_template: text })).toThrow('/m/tokenizer.json cannot be rendered');
  });
});
