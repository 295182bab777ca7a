import { describe, expect, it } from 'vitest';
import type { RequestRecord } from '../../src/core/record.ts';
import { genaiPerfCsvExport } from '../../src/exporters/genai-perf-csv.ts';
import { exported } from '../fixtures/exports.ts';
import { makeRecord } from '../fixtures/records.ts';
import { makeReport } from '../fixtures/report.ts';

function csvOf(records: readonly RequestRecord[]): string[] {
  const [file] = exported(genaiPerfCsvExport, [records]);
  return file!.text.split('\r\n');
}

/** TTFT 7, 8, 9 ms and 1, 2, 3 tokens, as in GenAI-Perf's own test; E2E 7, 1,010.005 and 2,009 ms. */
const RECORDS = [
  makeRecord({ id: 0, sentAtMs: 0, gapsMs: [7], endAtMs: 7, isl: counted(5) }),
  makeRecord({ id: 1, sentAtMs: 0, gapsMs: [8, 1_002.005], endAtMs: 1_100, isl: counted(6) }),
  makeRecord({ id: 2, sentAtMs: 1_000, gapsMs: [9, 1_000, 1_000], endAtMs: 3_100, isl: counted(7_000) }),
  makeRecord({ id: 3, sentAtMs: 0, outcome: 'reset', gapsMs: [50_000], endAtMs: 60_000 }),
];

function counted(tokens: number): RequestRecord['isl'] {
  return { asked: tokens, counted: tokens, by: 'usage' };
}

describe('profile_export_genai_perf.csv', () => {
  it('has the two sections of GenAI-Perf, its rows, and lines that end with CRLF', () => {
    const lines = csvOf(RECORDS);
    expect(lines[0]).toBe('Metric,avg,min,max,p99,p95,p90,p75,p50,p25,p10,p5,p1');
    expect(lines.map((line) => line.split(',', 1)[0])).toEqual([
      'Metric',
      'Time To First Token (ms)',
      'Time To Second Token (ms)',
      'Request Latency (ms)',
      'Inter Token Latency (ms)',
      'Output Token Throughput Per User (tokens/sec/user)',
      'Output Sequence Length (tokens)',
      'Input Sequence Length (tokens)',
      '',
      'Metric',
      'Output Token Throughput (tokens/sec)',
      'Request Throughput (per sec)',
      'Request Count (count)',
      '',
    ]);
    for (const line of lines) expect(line).not.toContain('\n');
  });

  it('writes numbers as GenAI-Perf does: two decimals, thousands in commas and so in quotes', () => {
    const lines = csvOf(RECORDS);
    expect(lines[1]).toBe(
      'Time To First Token (ms),8.00,7.00,9.00,8.98,8.90,8.80,8.50,8.00,7.50,7.20,7.10,7.02',
    );
    expect(lines[6]).toBe(
      'Output Sequence Length (tokens),2.00,1.00,3.00,2.98,2.90,2.80,2.50,2.00,1.50,1.20,1.10,1.02',
    );
    // Lengths 5, 6 and 7,000: p99 is 6 + 0.98 · 6,994.
    expect(lines[7]).toMatch(/^Input Sequence Length \(tokens\),"2,337\.00",5\.00,"7,000\.00","6,860\.12",/);
    expect(lines[3]).toMatch(/^Request Latency \(ms\),"1,008\.67",7\.00,"2,009\.00",/);
    // Two requests have it: 1,002.005 ÷ 1 and 2,000 ÷ 2.
    expect(lines[4]).toMatch(/^Inter Token Latency \(ms\),"1,001\.00","1,000\.00","1,002\.0[01]",/);
    expect(lines[9]).toBe('Metric,Value');
    // 6 tokens and 3 requests from the first send to the last chunk with output, 3.009 s.
    expect(lines.slice(10)).toEqual([
      'Output Token Throughput (tokens/sec),1.99',
      'Request Throughput (per sec),1.00',
      'Request Count (count),3.00',
      '',
    ]);
  });

  it('says N/A where no request had a value', () => {
    const lines = csvOf([makeRecord({ gapsMs: [20], endAtMs: 30 })]);
    const nothing = ',N/A'.repeat(12);
    expect(lines[2]).toBe(`Time To Second Token (ms)${nothing}`);
    expect(lines[4]).toBe(`Inter Token Latency (ms)${nothing}`);
    expect(lines[10]).toBe('Output Token Throughput (tokens/sec),50.00');
  });

  it('lies where GenAI-Perf puts it; a model’s name is no path', () => {
    const names = (model: string, shapes: { isl: number; concurrency: number }[]): string[] =>
      exported(genaiPerfCsvExport, [RECORDS, RECORDS], shapes, {
        target: { ...makeReport().target, model },
      }).map(({ file }) => file);
    expect(
      names('meta/llama-3.1-8b', [
        { isl: 1, concurrency: 1 },
        { isl: 1, concurrency: 8 },
      ]),
    ).toEqual([
      'genai-perf/meta_llama-3.1-8b-openai-chat-concurrency1/profile_export_genai_perf.csv',
      'genai-perf/meta_llama-3.1-8b-openai-chat-concurrency8/profile_export_genai_perf.csv',
    ]);
    expect(
      names('../../etc\\x', [
        { isl: 1, concurrency: 1 },
        { isl: 2, concurrency: 1 },
      ]),
    ).toEqual([
      'genai-perf/.._.._etc_x-openai-chat-concurrency1/1_3_genai_perf.csv',
      'genai-perf/.._.._etc_x-openai-chat-concurrency1/2_3_genai_perf.csv',
    ]);
  });

  it('has no file for a level without a good request', () => {
    const failed = [makeRecord({ outcome: 'timeout', gapsMs: [], endAtMs: 10 })];
    expect(exported(genaiPerfCsvExport, [failed])).toEqual([]);
  });
});
