import { describe, expect, it } from 'vitest';
import { redactCommand } from '../../src/host/environment.ts';

describe('redactCommand', () => {
  it('hides each value of a list of headers, and of an abbreviated name', () => {
    const command = redactCommand(['serving', '--head', 'X-A=abcdef1', 'X-B=abcdef2', '--model', 'm']);
    expect(command).toBe("bench serving --head 'X-A: ***' 'X-B: ***' --model m");
  });

  it.each([
    [['sweep', '--api-key', 'c2VjcmV0LWtleQ==']],
    [['sweep', '--api-key=c2VjcmV0LWtleQ==']],
    [['sweep', '--api-key', 'c2VjcmV0LWtleQ:pass']],
  ])('shows nothing of a key, whatever it looks like: %j', (args) => {
    const command = redactCommand(args);
    expect(command).not.toContain('c2VjcmV0LWtleQ');
    expect(command).toContain('***');
  });

  it('hides what is secret of a request body, and leaves one without secrets as it was typed', () => {
    const body = '{"nvext": {"api_key": "hush"}, "top_p": 0.9}';
    expect(redactCommand(['run', '--extra-body', body, `--extra-req=${body}`])).toBe(
      `bench run --extra-body '{"nvext":{"api_key":"***"},"top_p":0.9}' '--extra-req={"nvext":{"api_key":"***"},"top_p":0.9}'`,
    );
    expect(redactCommand(['run', '--extra-body', '{"max_tokens": 5}'])).toBe(
      `bench run --extra-body '{"max_tokens": 5}'`,
    );
  });

  it('shows the name of a header and not its value', () => {
    const command = redactCommand([
      'run',
      '--header',
      'X-Token: hush',
      '--header=Cookie: id=hush',
      '--isl',
      '5',
    ]);
    expect(command).toBe("bench run --header 'X-Token: ***' '--header=Cookie: ***' --isl 5");
  });

  it('hides what is secret in the query of a URL', () => {
    const words = [
      'run',
      '--url',
      'http://h/x?key=hush&v=1',
      '--a=h?sig=hush',
      '--query',
      '?api-version=1',
      '--query=key=hush',
    ];
    expect(redactCommand(words)).toBe(
      "bench run --url 'http://h/x?key=***&v=1' '--a=h?sig=***' --query api-version=1 '--query=key=***'",
    );
  });
});
