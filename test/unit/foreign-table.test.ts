import { describe, expect, it } from 'vitest';
import { renderForeign } from '../../src/exporters/foreign-table.ts';
import { changed, read, sglangLine, VLLM } from '../fixtures/foreign.ts';

describe('renderForeign', () => {
  const lines = [64, 1, 16].map((cap) => changed(sglangLine('2026-01'), { max_concurrency: String(cap) }));
  const run = read(lines.join('\n'));

  it('has a row per result by concurrency, and what the numbers mean', () => {
    const page = renderForeign(run, { colour: false, width: 120 });
    const rows = page.split('\n').filter((line) => /^ +(1|16|64) /.test(line) || /4,000×8/.test(line));
    expect(rows.map((row) => /(?:^|\s)(1|16|64)\s+5\b/.exec(row)?.[1])).toEqual(['1', '16', '64']);
    expect(page).toMatch(/^ {2}sglang\.bench_serving or bench serving {2}file, 3 results\n/);
    expect(page).toMatch(/TTFT ms/);
    expect(rows[0]).toMatch(/240 +968/);
    // Its lines and ours are the same byte for byte, so neither may be said to have written them.
    const flat = page.replaceAll(/\s+/g, ' ');
    expect(flat).toContain('without --bug-compatible their numbers have the definitions of bench');
    expect(flat).toContain('What the numbers mean where sglang.bench_serving wrote them:');
    expect(flat).not.toContain('which is not what they mean in bench');
    const vllm = renderForeign(read(JSON.stringify(VLLM)), { colour: false, width: 120 });
    expect(vllm).toMatch(/^ {2}vllm bench serve {2}file, 1 result\n/);
    expect(vllm).toContain(
      'What the numbers mean in vllm bench serve, which is not what they mean in bench:',
    );
    for (const field of Object.keys(run.definitions)) expect(page).toContain(`\n  ${field} `);
    expect(page).not.toContain('null');
  });

  it('stays within the width, and says which columns gave way', () => {
    for (const width of [80, 100, 120, 200]) {
      const page = renderForeign(run, { colour: false, width });
      for (const line of page.split('\n')) expect(line.length, line).toBeLessThanOrEqual(width);
    }
    expect(renderForeign(run, { colour: false, width: 80 })).toMatch(/left out for the width: .*E2E/);
    expect(renderForeign(run, { colour: false, width: 250 })).not.toContain('left out for the width');
  });

  it('lets no file write to the terminal', () => {
    const evil = JSON.stringify({ ...VLLM, model_id: 'a\u001b[31mb', made_by: 'x\u001b]0;y' });
    expect(renderForeign(read(evil), { colour: false, width: 100 })).not.toContain('\u001b');
  });
});
