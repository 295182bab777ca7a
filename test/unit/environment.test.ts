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
});
