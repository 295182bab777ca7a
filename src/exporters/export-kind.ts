import type { Kind } from '../core/kind.ts';
import type { RequestRecord } from '../core/record.ts';
import type { Report } from '../core/report.ts';

/** A file of an export, its name relative to the folder of exports. */
export interface ExportFile {
  readonly file: string;
  readonly text: string;
}

/** The results in the form of another tool, for that tool's readers, or as a page for people. */
export interface ExportKind extends Kind {
  /**
   * A file of the export that a run may have written itself, at the same name inside of its own folder: it says what
   * the records do not, and is the export then, as it is.
   */
  readonly kept?: string;
  /** It is made of the report alone. */
  readonly fromReport?: true;
  /** Its files, made of records where the form tells of single requests. A level that the form cannot tell of has none. Pure. */
  files(
    report: Report,
    recordsOf: (point: number) => readonly RequestRecord[],
  ): readonly ExportFile[] | Promise<readonly ExportFile[]>;
}

/** A form that is made at once. */
export interface PlainExport extends ExportKind {
  files(report: Report, recordsOf: (point: number) => readonly RequestRecord[]): readonly ExportFile[];
}
