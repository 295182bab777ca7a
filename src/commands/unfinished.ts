import os from 'node:os';
import path from 'node:path';
import type { Report } from '../core/report.ts';
import { MASK } from '../core/secrets.ts';
import { isHeldOpen } from '../host/open-files.ts';
import { RECORDS_FILE } from '../host/records-file.ts';

/** The report of the run in `directory`, with a warning that says how to go on where the run did not end as planned. */
export function withAdvice(report: Report, directory: string): Report {
  const advice = adviceOn(report, directory);
  return advice === null ? report : { ...report, warnings: [...report.warnings, advice] };
}

function adviceOn(report: Report, directory: string): string | null {
  const measured = report.levels.filter(({ status, requests }) => status === 'complete' && requests.good > 0);
  if (measured.length >= report.spec.points.length - report.spec.skip) return null;
  if (report.status === 'interrupted') return `the run was interrupted; ${goOn(report, directory)}`;
  if (report.status !== 'running') return null;
  const { host } = report.provenance;
  const held = host === os.hostname() ? isHeldOpen(path.join(directory, RECORDS_FILE)) : null;
  if (held === true) return null;
  return held === false
    ? `the run did not end: nothing writes to it any more; ${goOn(report, directory)}`
    : `whether the run still goes on can be seen on ${host} alone; if it does not, ${goOn(report, directory)}`;
}

function goOn({ provenance, spec }: Report, directory: string): string {
  if (/^bench serving\b/.test(provenance.command)) return 'start it again: bench serving with the same flags';
  const again = [
    ...(/ --mock\b/.test(provenance.command) ? ['--mock with its flags'] : []),
    ...(/ --stack(-run)?[ =]/.test(provenance.command) ? ['--stack or --stack-run'] : []),
    ...(spec.headerNames.length > 2 ? ['keys and headers'] : []),
    ...(spec.urls.some((url) => url.includes(MASK)) ? ['--query'] : []),
    ...(JSON.stringify(spec.extraBody).includes(MASK) ? ['--extra-body'] : []),
  ];
  const place = /\s/.test(directory) ? JSON.stringify(directory) : directory;
  const beside = again.length === 0 ? '' : ` (beside it give ${again.join(', ')} again)`;
  return `go on with it: bench sweep --resume ${place}${beside}`;
}
