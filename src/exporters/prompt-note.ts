import type { Report } from '../core/report.ts';
import { grouped, percent } from './figures.ts';
import { levelsRun } from './level-names.ts';
import type { Note } from './note.ts';
import { harmless } from './page-style.ts';

/** What the prompts of a run are, and how far their lengths can be trusted. */
export function promptNote(report: Report): Note {
  const { prompts } = report;
  const run = levelsRun(report);
  const proven =
    run.length > 0 &&
    run.every(
      ({ islProof, requests }) => islProof.provenByUsage === requests.good && islProof.deviations === 0,
    );
  if (prompts.method === 'sglang') {
    const text = `as sglang.bench_serving makes them with the tokenizer ${harmless(prompts.tokenizerName)}: lengths are nominal, and prompts repeat from run to run`;
    return { topic: 'prompts', text, loud: true };
  }
  if (prompts.method === 'given') {
    const { path } = prompts.file!;
    const counted = prompts.estimates
      ? 'no tokenizer of the model counted them'
      : `counted with the tokenizer ${harmless(prompts.tokenizerName)}`;
    const text = `${grouped(prompts.rows!.count)} texts of ${harmless(path)}, unchanged, ${counted}; a server that saw them before may have them in its cache`;
    return { topic: 'prompts', text, loud: false };
  }
  const shared =
    prompts.sharedRatio === undefined
      ? ''
      : `; ${percent(prompts.sharedRatio)} of their tokens begin an earlier one too, on purpose`;
  const what = prompts.text === 'words' ? 'random words' : 'running text';
  const how = prompts.method === 'words' ? 'exact by construction' : 'encoded and corrected';
  const counts =
    prompts.islCounts === 'prompt'
      ? 'lengths include the chat template'
      : 'lengths leave the chat template out';
  const tokenizer = harmless(prompts.tokenizerName);
  const trust = !prompts.estimates
    ? `${how} with the tokenizer ${tokenizer}`
    : `${how} with ${tokenizer}, which is not the model's tokenizer: ${proven ? 'the server proved the lengths' : 'lengths are ESTIMATES'}`;
  return {
    topic: 'prompts',
    text: `${what}, ${trust}; ${grouped(prompts.checked)} checked; ${counts}${shared}`,
    loud: prompts.estimates && !proven,
  };
}
