import { ArgumentParser, type HelpFormatterOptions, RawDescriptionHelpFormatter } from 'argparse';
import { FLAG_TOPICS, type ServingFlag } from './flag.ts';
import { FLAGS, standingLabel } from './flags.ts';

const WIDTH = 100;

const DESCRIPTION = `Takes the flags of sglang.bench_serving (0.5.5 to 0.5.23) and writes its output, on the measuring
core of bench. Flags may be shortened as there; those of bench itself may not. Each flag says how
it stands: the same as in sglang, in part the same, or better: the same and more.`;

const EXAMPLES = `examples:
  bench serving --backend sglang-oai-chat --host head --port 8000 --model r1 \\
    --tokenizer /models/r1 --dataset-name random --num-prompts 256 --random-input-len 4000 \\
    --random-output-len 1000 --random-range-ratio 1 --max-concurrency 64 --output-file results.jsonl
  the same with --bug-compatible --dataset-path ShareGPT_V3_unfiltered_cleaned_split.json
                                        sglang's own prompts and numbers, its errors included
  the same with --layout 2025-08        the output of sglang in August 2025`;

class WideFormatter extends RawDescriptionHelpFormatter {
  constructor(options: HelpFormatterOptions) {
    super({ ...options, width: WIDTH, max_help_position: 30 });
  }
}

/** The text of `bench serving --help`, at most 100 columns wide, ending in a newline. */
export function servingHelp(): string {
  const parser = new ArgumentParser({
    prog: 'bench serving',
    usage: 'bench serving --backend sglang-oai-chat --dataset-name random [flag ...]',
    description: DESCRIPTION,
    epilog: [unusedText('noted'), unusedText('refused'), EXAMPLES].join('\n\n'),
    add_help: false,
    color: false,
    formatter_class: WideFormatter,
  });
  const add = (title: string, flags: readonly ServingFlag[]): void => {
    const group = parser.add_argument_group(title);
    for (const flag of flags) {
      const { name, type, nargs, metavar } = flag;
      const help = helpOf(flag).replaceAll('%', '%%');
      if (type === 'switch') group.add_argument(`--${name}`, { action: 'store_true', help });
      else
        group.add_argument(`--${name}`, {
          help,
          ...(nargs === undefined ? {} : { nargs }),
          ...(metavar === undefined ? {} : { metavar }),
        });
    }
  };
  for (const topic of FLAG_TOPICS)
    add(
      topic,
      FLAGS.filter((flag) => flag.topic === topic),
    );
  add(
    "bench's own",
    FLAGS.filter(({ standing }) => standing === 'own'),
  );
  return parser.format_help();
}

function helpOf(flag: ServingFlag): string {
  const about = [flag.about, ...(flag.narrower === undefined ? [] : [flag.narrower])]
    .join('; ')
    .replaceAll('`', '');
  if (flag.standing === 'own') return about;
  const shown = flag.accepts === undefined && ![null, '', false].includes(flag.default as null);
  const value = flag.default === Number.POSITIVE_INFINITY ? 'inf' : String(flag.default);
  return `${about} [${standingLabel(flag)}${shown ? `; default: ${value}` : ''}]`;
}

/** The flags of a standing that does nothing, by reason. */
function unusedText(standing: 'noted' | 'refused'): string {
  const flags = FLAGS.filter((flag) => flag.standing === standing);
  const title = standing === 'noted' ? 'Accepted, without effect here:' : 'Refused:';
  const reasons = [...new Set(flags.map(({ about }) => about))];
  const lines = reasons.flatMap((about) => {
    const names = flags.filter((flag) => flag.about === about).map(({ name }) => `--${name}`);
    return [`  ${about}:`, ...wrap(names, WIDTH - 4).map((line) => `    ${line}`)];
  });
  return [title, ...lines].join('\n');
}

function wrap(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
