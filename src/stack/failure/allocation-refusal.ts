import type { Why } from './why.ts';

const SAYS = /^(?:salloc|sbatch): (?:(error|fatal): )?(.*)$/;
const OPTION = /^(?:unrecognized|invalid|ambiguous) option|^option .* requires/;
/** The last line of a refusal says only that it is one. */
const GENERAL =
  /^(?:Job submit\/allocate failed|Batch job submission failed|Unable to allocate resources): (.*)$/;

const HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /account|association|permission/i,
    'See `sacctmgr show assoc user=$USER format=account,partition,qos`, and cluster.account.',
  ],
  [/partition/i, 'See `sinfo` for the partitions there are, and cluster.partition.'],
  [/qos/i, 'See `sacctmgr show assoc user=$USER format=account,qos`, and cluster.qos.'],
  [/gres|generic resource/i, 'The cluster has no GPUs as GRES: set cluster.gres to never.'],
  [/feature|constraint/i, 'See `sinfo -o "%n %f"` for what nodes have, and cluster.constraint.'],
  [/reservation/i, 'See `scontrol show reservation`, and cluster.reservation.'],
  [/node name/i, 'See `sinfo -N` for the nodes there are.'],
  [/memory/i, 'Ask for --mem=0 (all of the node), or for less.'],
  [/time limit/i, 'Ask for less time (cluster.time): `sinfo -o "%P %l"`.'],
  [/node configuration|nodes? count|processors/i, 'Ask for fewer nodes or tasks: `sinfo -o "%P %D %c"`.'],
  [/option/i, 'This SLURM does not know the option: see `salloc --help`, and cluster.extra.'],
  [/busy|timed out/i, 'The cluster is full: wait (no --immediate), or ask for less.'],
  [/contact|connect/i, 'Is the SLURM controller up, and is this a host of the cluster? `scontrol ping`.'],
];

/** Why salloc or sbatch refused, by what they print on stderr; null when nothing there is a refusal. */
export function allocationRefusal(stderr: string, exitCode: number | null): Why | null {
  const said = stderr
    .split('\n')
    .map((line) => ({ line: line.trimEnd(), match: SAYS.exec(line.trimEnd()) }))
    .filter(({ match }) => match !== null && (match[1] !== undefined || OPTION.test(match[2]!)));
  const telling = said.find(({ match }) => !GENERAL.test(match![2]!)) ?? said[0];
  if (telling === undefined) return null;
  const text = telling.match![2]!;
  const general = said.map(({ match }) => GENERAL.exec(match![2]!)?.[1]).find((why) => why !== undefined);
  const message = GENERAL.exec(text)?.[1] ?? (general === undefined ? text : `${text} (${general})`);
  return {
    failureClass: 'allocation-refused',
    message: `SLURM refuses the allocation: ${message}`,
    hint: HINTS.find(([pattern]) => pattern.test(message))?.[1] ?? null,
    step: null,
    rank: null,
    node: null,
    exitCode,
    evidence: {
      line: telling.line,
      before: [],
      after: said.filter((other) => other !== telling).map(({ line }) => line),
    },
    logFile: null,
  };
}
