import { namesEnd, whyJobEnded } from '../failure/job-end.ts';
import type { Why } from '../failure/why.ts';
import { sleep } from './allocation.ts';
import { type JobFacts, jobFacts } from './slurm.ts';

/** How long the nodes of a job that has ended are waited for until SLURM says how it did. */
const CLEARED_WITHIN_MS = 3_000;
const POLL_MS = 200;

/** Why a job is over; `seen`: what the queue said first. While its nodes are being cleared SLURM may not say how it has ended. */
export async function whyJobOver(jobId: string, seen: JobFacts | null): Promise<Why> {
  const giveUpMs = performance.now() + CLEARED_WITHIN_MS;
  let facts = seen;
  while (facts?.state === 'COMPLETING' && !namesEnd(facts) && performance.now() < giveUpMs) {
    await sleep(POLL_MS);
    facts = await jobFacts(jobId).catch(() => facts);
  }
  return whyJobEnded(jobId, facts);
}
