import type { LevelReport, Report } from '../core/report.ts';
import { hasShapes } from './level-names.ts';

/** How far an export keeps to the tool whose form it has. */
export interface ExportMark {
  readonly dialect: string;
  /** What the numbers mean where the tool means another thing. */
  readonly means: string;
}

/** Says in the file itself who made it and what its numbers mean. */
export function exportMark(report: Report, mark: ExportMark): string {
  return `bench-serving ${report.provenance.bench}, in the form of ${mark.dialect}: ${mark.means}`;
}

/** An instant of the run as milliseconds since 1970. */
export function wallTimeMs(report: Report, atMs: number): number {
  return Date.parse(report.origin.utc) + atMs;
}

/** `isl_4000_osl_1000/` where the run has several shapes, else nothing. */
export function shapeFolder(report: Report, level: LevelReport): string {
  return hasShapes(report) ? `isl_${level.isl}_osl_${level.osl}/` : '';
}

/** A model's name as part of a file name: what is no letter, digit or mark of names becomes `_`, `/` among them. */
export function modelInPath(model: string): string {
  return model.replaceAll(/[^\p{L}\p{N}._:@+-]/gu, '_');
}
