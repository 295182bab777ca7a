import { describe, expect, it } from 'vitest';
import { parsePrometheus, sumSeries } from '../../src/endpoints/prometheus.ts';

const all = (text: string) => parsePrometheus(text, () => true);
const one = (line: string) => all(line)[0];

describe('parsePrometheus', () => {
  it('reads the example of the format as its documentation explains it', () => {
    const text = `# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045
`;
    expect(all(text)).toEqual([
      { name: 'http_requests_total', labels: { method: 'post', code: '200' }, value: 1027 },
      { name: 'http_requests_total', labels: { method: 'post', code: '400' }, value: 3 },
      {
        name: 'msdos_file_access_time_seconds',
        labels: { path: 'C:\\DIR\\FILE.TXT', error: 'Cannot find file:\n"FILE.TXT"' },
        value: 1458255915,
      },
      { name: 'metric_without_timestamp_and_labels', labels: {}, value: 12.47 },
      { name: 'something_weird', labels: { problem: 'division by zero' }, value: Number.POSITIVE_INFINITY },
    ]);
  });

  it.each([
    ['a NaN', Number.NaN],
    ['a{} -Inf', Number.NEGATIVE_INFINITY],
    ['a{x="1",} 2', 2],
    ['a { x = "1" , y = "2" } 2.5e-3', 0.0025],
    ['a\t7', 7],
    ['  a .5', 0.5],
    ['vllm:a{engine="0"} 3.', 3],
    ['a{x="} 9 {"} 4', 4],
    ['a{x="1"} 5\r', 5],
    ['{"a",x="1"} 6', 6],
  ])('takes %j', (line, value) => {
    expect(one(line)?.value).toBe(value);
  });

  it('takes a name in quotes with dots, and labels in quotes', () => {
    expect(one('{"http.requests","my.label"="x"} 6')).toEqual({
      name: 'http.requests',
      labels: { 'my.label': 'x' },
      value: 6,
    });
  });

  it('passes over exemplars, and stops at the end of an OpenMetrics text', () => {
    const text =
      '# TYPE foo histogram\nfoo_bucket{le="0.1"} 8 # {trace_id="} 99"} 0.054 1.2\nfoo_count 17 # {} 1\n# EOF\nfoo_sum 3\n';
    expect(all(text)).toEqual([
      { name: 'foo_bucket', labels: { le: '0.1' }, value: 8 },
      { name: 'foo_count', labels: {}, value: 17 },
    ]);
  });

  it.each([
    'a',
    'a{',
    'a{x="1} 2',
    'a{x=1} 2',
    'a{x="1"} two',
    'a 0x1F',
    '<html> 1',
    '{"a":1}',
    '{"a","b"} 1',
    '1a 1',
  ])('leaves out what is no sample: %j', (line) => {
    expect(all(`${line}\nb 1`)).toEqual([{ name: 'b', labels: {}, value: 1 }]);
  });

  it('gives the wanted names alone', () => {
    expect(parsePrometheus('ab 1\na 2\na_total 3', (name) => name === 'a')).toEqual([
      { name: 'a', labels: {}, value: 2 },
    ]);
  });
});

describe('sumSeries', () => {
  it('adds all series of a name, and no other', () => {
    expect(sumSeries('a{x="1"} 1\na{x="2"} 2\na_b 8\nba 8\na NaN', 'a')).toBe(3);
    expect(sumSeries('a NaN', 'a')).toBeNull();
  });
});
