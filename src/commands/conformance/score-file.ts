import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { CONFORMANCE_SCHEMA, type ConformanceResult } from '../../core/conformance.ts';
import { BenchError, errorText, usageError } from '../../core/errors.ts';
import { readTruth } from '../../core/truth.ts';
import { decodeText } from '../../core/utf8.ts';
import { benchClient, readRunFolder } from './bench-client.ts';
import type { Client, Reading } from './client.ts';
import { CLIENTS } from './clients.ts';
import { foreignReading, readForeign } from './foreign-reading.ts';
import { scoreReading } from './score-reading.ts';

/** Scores a recorded result against the log of the server that it came from. Exit 2 for files that are none. */
export function scoreFile(truthFile: string, resultFile: string): ConformanceResult {
  const truth = readTruth(decodeText(readBytes('--truth', truthFile), truthFile), truthFile);
  const { client, reading, asked } = readResult(resultFile);
  const { meanings, name } = client;
  const score = scoreReading(client, reading, truth, asked, null);
  const { remark } = reading;
  return {
    schema: CONFORMANCE_SCHEMA,
    host: null,
    clients: [{ name, meanings }],
    missing: [],
    cases: [{ client: name, case: path.basename(resultFile), about: resultFile, score, remark }],
  };
}

interface Result {
  readonly client: Client;
  readonly reading: Reading;
  /** Requests that it says were sent; where it does not say, those that it says went well. */
  readonly asked: number;
}

function readResult(file: string): Result {
  try {
    if (statSync(file).isDirectory()) {
      const reading = readRunFolder(file);
      return { client: benchClient, reading, asked: reading.told.good + (reading.told.failed ?? 0) };
    }
    const { run, point } = readForeign(file);
    const client = CLIENTS.find(({ tool }) => tool === run.tool);
    if (client === undefined)
      throw usageError(`--result: ${file} is of ${run.tool}, whose meanings are not known`, 'see --client');
    const asked = point.sent ?? point.good + (point.failed ?? 0);
    return { client, reading: foreignReading(point, asked), asked };
  } catch (error) {
    if (error instanceof BenchError) throw error;
    throw usageError(
      `--result: ${errorText(error)}`,
      "name a client's result file, or the folder of a run of bench",
    );
  }
}

function readBytes(flag: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw usageError(`${flag}: cannot read ${file} (${errorText(error)})`, 'name a file that is there');
  }
}
