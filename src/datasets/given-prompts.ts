import { type BenchError, usageError } from '../core/errors.ts';
import type { PromptFacts, RowFacts } from '../core/prompt-facts.ts';
import { loadChatTemplate } from './chat-template.ts';
import { checkUnchanged, meanTokens, rowNumbers, rowsWanted } from './dataset-file.ts';
import { makeProbes } from './exact-prompts.ts';
import type { MadePrompt, PrepareJob, Probe, PromptMaker } from './prepare.ts';
import { shareOf } from './template-share.ts';
import { type LoadedTokenizer, loadTokenizer } from './tokenizer.ts';
import { EMBEDDED_TOKENIZER, readTokenizerFiles } from './tokenizer-source.ts';
import { wordListOf } from './word-list.ts';

/** A prompt that somebody wrote, which is sent as it is. */
export interface GivenRow {
  readonly text: string;
  readonly osl: number;
  /** Input length that the file itself states; null for none. */
  readonly isl: number | null;
}

/** The rows that prompts are taken from, and how many were left out by which reason. */
export interface GivenRows {
  readonly rows: readonly GivenRow[];
  readonly leftOut: RowFacts['leftOut'];
}

/** Reads as many usable rows as are wanted, or all there are where they are fewer. */
export type ReadRows = (job: PrepareJob, tokenizer: LoadedTokenizer, wanted: number) => GivenRows;

/**
 * Prompts from a file, unchanged. Their lengths are what the tokenizer counts, the template's share included where it
 * is known; where nobody here can count them they stay unknown until the server does. Exit 2 for a file that is not
 * what it was, and for one with fewer rows than are wanted where none may be sent twice.
 */
export async function openGivenPrompts(
  job: PrepareJob,
  readRows: ReadRows,
): Promise<PromptMaker | { readonly needsProbe: readonly [Probe, Probe] }> {
  const { prompts } = job;
  const file = prompts.file!;
  checkUnchanged(file);
  const files = await readTokenizerFiles(prompts.tokenizer, { env: process.env, fetch });
  const tokenizer = loadTokenizer(files);
  const estimates = prompts.tokenizer === EMBEDDED_TOKENIZER && job.foreignServer;
  const template = estimates ? null : loadChatTemplate(files, tokenizer.config, job.templateVariables);
  // Whatever is wrong with the file is told before anything is sent.
  const wanted = rowsWanted(job);
  const { rows: found, leftOut } = readRows(job, tokenizer, wanted);
  const { suffix = '' } = file;
  const rows = suffix === '' ? found : found.map((row) => ({ ...row, text: row.text + suffix }));
  checkCount(job, rows.length, wanted, leftOut);
  // Of a model whose tokenizer is not at hand the template's share would help nobody.
  if (template === null && !estimates && job.calibration === null)
    return { needsProbe: makeProbes(job, tokenizer, wordListOf(tokenizer, job.cacheDir).list) };
  const share = shareOf({ ...job, calibration: job.calibration ?? 'unknown' }, template, null, tokenizer);

  const promptTokensOf = (text: string): number | null => {
    if (estimates) return null;
    if (template !== null) return tokenizer.encode(template.render(text)).length;
    return share.tokens === null || share.slope !== 1 ? null : tokenizer.encode(text).length + share.tokens;
  };
  // Each text is encoded once, whatever asks for its length.
  const lengths = rows.map(({ text, isl }) => {
    const promptTokens = promptTokensOf(text);
    const content = prompts.islCounts === 'content';
    const counted = estimates ? null : content ? tokenizer.encode(text).length : promptTokens;
    return { promptTokens, counted, isl: isl ?? counted };
  });
  const isls = lengths.map(({ isl }) => isl);
  const numberOfRow = rowNumbers(job);
  const maker: PromptMaker = {
    facts: {
      ...prompts,
      tokenizerName: tokenizer.name,
      tokenizerHash: tokenizer.hash,
      method: 'given',
      wordCount: 0,
      template: {
        source: template?.source ?? (share.by === 'calibrated' ? 'server' : 'none'),
        hash: template?.hash ?? null,
        tokens: share.tokens === null ? null : Math.round(share.tokens),
        by: share.by,
      },
      checked: 0,
      rows: {
        count: rows.length,
        isl: isls.every((isl) => isl !== null) ? meanTokens(isls) : null,
        osl: meanTokens(rows.map(({ osl }) => osl)),
        leftOut,
      },
      estimates,
    } satisfies PromptFacts,
    // A text that is not ours is never altered.
    salting: { seed: prompts.seed, salt: prompts.salt, firstWords: [''], words: [''], saltWords: 0 },
    warnings: [
      ...leftOutWarnings(leftOut),
      ...repeatWarnings(job, rows.length, wanted),
      ...statedWarnings(
        rows,
        lengths.map(({ counted }) => counted),
      ),
    ],
    checksPerPoint: 0,
    make(point, phase, index): MadePrompt {
      const at = numberOfRow({ point, phase, index }) % rows.length;
      const { text, osl } = rows[at]!;
      const { isl, promptTokens } = lengths[at]!;
      return { text, isl, osl, promptTokens, excess: 0 };
    },
    holds: () => true,
    adjusted: () => maker,
  };
  return maker;
}

function checkCount(
  { prompts, run, points }: PrepareJob,
  count: number,
  wanted: number,
  leftOut: RowFacts['leftOut'],
): void {
  const file = prompts.file!;
  if (count === 0) throw refuseNoRows(file.path, leftOut);
  if (count >= wanted || file.repeat) return;
  const levels = (run ?? points).length;
  throw usageError(
    `--dataset-path: ${file.path} has ${count} usable rows, and ${wanted} prompts are wanted (${levels === 1 ? 'warm-up included' : `${levels} levels, warm-up included`})`,
    'ask for fewer, or say --dataset-repeat (bench sweep, run) to send rows again, which a server with a prefix cache answers faster',
  );
}

/** The error (exit 2) of a file of which all rows were left out. */
export function refuseNoRows(path: string, leftOut: RowFacts['leftOut']): BenchError {
  return usageError(
    `--dataset-path: ${path} has no usable row${reasons(leftOut)}`,
    'name a file that has some',
  );
}

function reasons(leftOut: RowFacts['leftOut']): string {
  const parts = Object.entries(leftOut).map(([why, count]) => `${count} ${why}`);
  return parts.length === 0 ? '' : ` (left out: ${parts.join(', ')})`;
}

function leftOutWarnings(leftOut: RowFacts['leftOut']): string[] {
  const total = Object.values(leftOut).reduce((sum, count) => sum + count, 0);
  return total === 0
    ? []
    : [
        `${total === 1 ? '1 row of the dataset was' : `${total} rows of the dataset were`} left out${reasons(leftOut)}`,
      ];
}

function repeatWarnings({ run, points }: PrepareJob, count: number, wanted: number): string[] {
  if ((run ?? points).some(({ point, counts }) => point.requests === null || counts.hold > 0))
    return [
      'prompts may repeat, since nobody knows how many are sent: a server with a prefix cache answers them faster than new ones',
    ];
  return count >= wanted
    ? []
    : [
        `prompts repeat: ${count} rows for ${wanted} prompts, so a server with a prefix cache answers many of them faster than new ones`,
      ];
}

/** Where the file states other lengths than the tokenizer counts. */
function statedWarnings(rows: readonly GivenRow[], counts: readonly (number | null)[]): string[] {
  const stated = rows.flatMap(({ isl }, at) => (isl === null ? [] : [{ isl, counted: counts[at] ?? isl }]));
  const wrong = stated.filter(({ isl, counted }) => counted !== isl);
  return wrong.length === 0
    ? []
    : [
        `${wrong.length} of ${stated.length} input lengths that the dataset states are not what the tokenizer counts (first: ${wrong[0]!.isl}, counted ${wrong[0]!.counted})`,
      ];
}
