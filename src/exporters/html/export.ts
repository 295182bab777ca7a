import type { ExportKind } from '../export-kind.ts';

/** The page's file, in the folder of a run and among its exports. */
export const HTML_FILE = 'report.html';

/** A page to look at. What draws it is loaded when it is asked for: a run measures without it. */
export const htmlExport: ExportKind = {
  name: 'html',
  about: 'a page with charts, in one file that needs no network',
  fromReport: true,
  async files(report) {
    const { renderHtml } = await import('./page.ts');
    return [{ file: HTML_FILE, text: renderHtml(report) }];
  },
};
