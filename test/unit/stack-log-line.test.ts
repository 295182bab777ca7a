import { describe, expect, it } from 'vitest';
import { levelOf, parseLogLine } from '../../src/stack/failure/log-line.ts';

const ESC = String.fromCharCode(27);

describe('a line of a step log', () => {
  it('loses the rank that srun puts before it, padded to the widest', () => {
    expect(parseLogLine('0: hi 0')).toEqual({ rank: 0, text: 'hi 0' });
    expect(parseLogLine(' 8: mpi_rank: 8')).toEqual({ rank: 8, text: 'mpi_rank: 8' });
    expect(parseLogLine('15:   indented')).toEqual({ rank: 15, text: '  indented' });
    expect(parseLogLine('3: ')).toEqual({ rank: 3, text: '' });
    expect(parseLogLine('3:')).toEqual({ rank: 3, text: '' });
  });

  it('keeps what only looks like a rank', () => {
    expect(parseLogLine('srun: error: node2: task 2: Exited with exit code 3').rank).toBeNull();
    expect(parseLogLine('12:34:56 started')).toEqual({ rank: null, text: '12:34:56 started' });
    expect(parseLogLine('3: apples', false)).toEqual({ rank: null, text: '3: apples' });
  });

  it('loses colours, titles and what a carriage return has overwritten', () => {
    const line = `1: ${ESC}[2m2026-11-26T13:31:26Z${ESC}[0m ${ESC}[31mERROR${ESC}[0m ${ESC}[3merror${ESC}[0m${ESC}[2m=${ESC}[0mx`;
    expect(parseLogLine(line)).toEqual({ rank: 1, text: '2026-11-26T13:31:26Z ERROR error=x' });
    expect(parseLogLine(`${ESC}]0;title${String.fromCharCode(7)}text`).text).toBe('text');
    expect(parseLogLine('0: loading  10%\rloading 100%\r').text).toBe('loading 100%');
  });

  it('turns a JSON record of Dynamo 1.4.2 into the line Dynamo writes without JSON', () => {
    const rust =
      '{"time":"2026-11-26T13:31:51.053545Z","level":"INFO","file":"/opt/dynamo/lib/llm/src/discovery/watcher.rs","line":643,"target":"dynamo_llm::discovery::watcher","message":"added model","model_name":"dsr1","namespace":"dynamo"}';
    expect(parseLogLine(`0: ${rust}`)).toEqual({
      rank: 0,
      text: '2026-11-26T13:31:51.053545Z INFO dynamo_llm::discovery::watcher: added model model_name="dsr1" namespace="dynamo"',
    });
    const python =
      '{"time":"2026-11-26T13:31:45.251378Z","level":"INFO","target":"log","message":"Request migration disabled (limit: 0)","log.file":"main.py","log.line":342,"log.target":"main.async_main"}';
    expect(parseLogLine(python).text).toBe(
      '2026-11-26T13:31:45.251378Z INFO main.async_main: Request migration disabled (limit: 0)',
    );
  });

  it('keeps JSON that is no log record', () => {
    for (const text of ['{"a":1}', '{"message":5}', '{"message":"x"', '["message"]'])
      expect(parseLogLine(text).text).toBe(text);
  });
});

describe('the level of a line', () => {
  it.each([
    [
      '2026-11-30T23:30:04.460060Z ERROR dynamo_runtime::transports::etcd::lease: Keep-alive lease expired',
      'error',
    ],
    ['2026-11-30T23:26:09.091719Z  WARN dynamo_llm::hub: Cannot connect: connect error: refused', 'warning'],
    ['2026-11-30T23:26:09.079823Z  INFO dynamo_runtime: binding to: 127.0.0.3:18464', 'other'],
    ['(EngineCore_0 pid=77) ERROR 08-21 08:17:04 [core.py:700] it broke', 'error'],
    ['[08/21/2025-08:17:04] [TRT-LLM] [E] it broke', 'error'],
    ['[08/21/2025-08:17:04] [TRT-LLM] [W] using defaults', 'warning'],
    ['[7] 2026/11/26 13:31:40 [FTL] Error listening on port', 'error'],
    ['[7] 2026/11/26 13:31:40.000000 [INF] Server is ready', 'other'],
    ['2026-11-30 23:24:04.934437 I | etcdserver: skipped leadership transfer', 'other'],
    ['2026-11-30 23:24:04.934437 C | etcdmain: listen tcp', 'error'],
    ['ValueError: bad request', 'error'],
    ['Error: no such model', 'error'],
    // What an INFO line reports is no error.
    ['INFO worker: last ERROR was handled', 'other'],
    ['WARNING: ERROR in optional file', 'warning'],
    ['An error occurred, ignored', null],
    ['Model init total -- 55.42s', null],
  ])('%s: %s', (line, level) => {
    expect(levelOf(line)).toBe(level);
  });
});
