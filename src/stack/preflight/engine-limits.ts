import { parse } from 'yaml';
import { PARALLEL_FLAGS } from '../file/parallel-flags.ts';
import type { Role } from '../plan/planned.ts';
import type { Finding } from './findings.ts';

/** What of a service matters for its engine's limits. */
export interface EngineService {
  readonly name: string;
  readonly role: Role;
  readonly replicas: number;
  /** MPI ranks of a replica (nodes × tasks per node); null where the engine starts its ranks by itself. */
  readonly ranks: number | null;
  /** The command with its arguments, in which flags of the engine are looked for. */
  readonly command: readonly string[];
}

/** A shape of the load: tokens in and out of a request, and how many requests at once at the most. */
export interface LoadShape {
  readonly isl: number;
  readonly osl: number;
  readonly concurrency: number;
}

/** Settings of an engine that limit what it can serve; null where neither file nor flag says. */
interface Limits {
  readonly tensorParallel: number | null;
  readonly pipelineParallel: number | null;
  readonly maxSeqLen: number | null;
  readonly maxNumTokens: number | null;
  readonly maxBatchSize: number | null;
  /** Each rank takes a batch of its own. */
  readonly attentionDp: boolean;
  readonly dataParallel: number | null;
  readonly chunkedPrefill: boolean;
  readonly transferTokens: number | null;
  readonly draftLayers: number | null;
  readonly largestGraphBatch: number | null;
}

/**
 * Whether an engine can serve the shapes, by its configuration file (`yamlText`, null when there is none)
 * and by its flags, which win. What neither says is not judged. An unreadable file is an error finding.
 */
export function checkEngine(
  service: EngineService,
  yamlText: string | null,
  shapes: readonly LoadShape[],
): readonly Finding[] {
  const finding = (level: Finding['level'], what: string, value: string, hint: string): Finding => ({
    level,
    node: null,
    what: `${service.name}: ${what}`,
    value,
    hint: level === 'ok' ? null : hint,
  });
  let settings: Settings;
  try {
    const parsed: unknown = yamlText === null ? null : parse(yamlText);
    if (parsed !== null && (typeof parsed !== 'object' || Array.isArray(parsed)))
      throw new Error('it holds no settings, but a single value or a list');
    settings = asSettings(parsed);
  } catch (thrown) {
    const text = thrown instanceof Error ? thrown.message.split('\n')[0]! : String(thrown);
    return [finding('error', 'engine configuration', text, 'The engine cannot read this YAML either.')];
  }
  const limits = limitsOf(settings, service.command);
  return [
    ...parallelism(service, limits, finding),
    ...lengths(service, limits, shapes, finding),
    ...batches(service, limits, shapes, finding),
    ...speculation(limits, finding),
  ];
}

type Settings = Readonly<Record<string, unknown>>;
type Make = (level: Finding['level'], what: string, value: string, hint: string) => Finding;

function parallelism({ ranks }: EngineService, limits: Limits, finding: Make): Finding[] {
  const { tensorParallel, pipelineParallel } = limits;
  if (ranks === null || tensorParallel === null) return [];
  const pp = pipelineParallel ?? 1;
  const level = tensorParallel * pp === ranks ? 'ok' : 'error';
  const value = `TP ${tensorParallel} × PP ${pp} = ${tensorParallel * pp}, ranks ${ranks}`;
  return [
    finding(level, 'parallelism', value, 'TP × PP must be the ranks of a replica: nodes × tasks per node.'),
  ];
}

function lengths(
  { role }: EngineService,
  limits: Limits,
  shapes: readonly LoadShape[],
  finding: Make,
): Finding[] {
  if (shapes.length === 0) return [];
  const found: Finding[] = [];
  const isl = Math.max(...shapes.map((shape) => shape.isl));
  // A prefill worker holds the prompt and the first token only.
  const whole = Math.max(...shapes.map((shape) => shape.isl + (role === 'prefill' ? 1 : shape.osl)));
  if (limits.maxSeqLen !== null)
    found.push(
      finding(
        whole <= limits.maxSeqLen ? 'ok' : 'error',
        'sequence length',
        `${role === 'prefill' ? 'ISL + 1' : 'ISL + OSL'} ${whole}, at most ${limits.maxSeqLen}`,
        'Longer requests are refused or cut: raise max_seq_len (--max-model-len, --context-length), or ask for less.',
      ),
    );
  if (limits.maxNumTokens !== null && (role === 'prefill' || role === 'agg') && !limits.chunkedPrefill)
    found.push(
      finding(
        isl <= limits.maxNumTokens ? 'ok' : 'error',
        'prompt length',
        `ISL ${isl}, max_num_tokens ${limits.maxNumTokens}`,
        'Without chunked prefill a prompt must fit into max_num_tokens: raise it, or set enable_chunked_prefill.',
      ),
    );
  if (limits.transferTokens !== null)
    found.push(
      finding(
        isl <= limits.transferTokens ? 'ok' : 'error',
        'cache transfer',
        `ISL ${isl}, max_tokens_in_buffer ${limits.transferTokens}`,
        'A prompt longer than cache_transceiver_config.max_tokens_in_buffer can lock up prefill and decode.',
      ),
    );
  return found;
}

/** More requests at once than decode takes wait in its queue, and the numbers show the queue. */
function batches(
  { role, replicas, ranks }: EngineService,
  limits: Limits,
  shapes: readonly LoadShape[],
  finding: Make,
): Finding[] {
  if (shapes.length === 0 || limits.maxBatchSize === null) return [];
  if (role !== 'decode' && role !== 'agg') return [];
  const parallel = limits.dataParallel ?? (limits.attentionDp ? (limits.tensorParallel ?? ranks ?? 1) : 1);
  const most = limits.maxBatchSize * parallel * replicas;
  const concurrency = Math.max(...shapes.map((shape) => shape.concurrency));
  const how = [
    `${limits.maxBatchSize} a batch`,
    ...(parallel > 1 ? [`× ${parallel} ranks`] : []),
    ...(replicas > 1 ? [`× ${replicas} replicas`] : []),
  ].join(' ');
  const level = concurrency <= most ? 'ok' : 'warn';
  const hint =
    'The rest waits in a queue, and that is what is measured: raise max_batch_size (--max-num-seqs).';
  return [finding(level, 'concurrency', `${concurrency} at once, at most ${most} (${how})`, hint)];
}

/** Each sequence of a batch brings its drafted tokens and its own. */
function speculation(limits: Limits, finding: Make): Finding[] {
  const { draftLayers, largestGraphBatch, maxNumTokens } = limits;
  if (draftLayers === null || draftLayers === 0 || largestGraphBatch === null || maxNumTokens === null)
    return [];
  const least = largestGraphBatch * (draftLayers + 1);
  const level = maxNumTokens >= least ? 'ok' : 'error';
  const value = `max_num_tokens ${maxNumTokens}, needed ${least} (batch ${largestGraphBatch} × ${draftLayers + 1})`;
  const hint =
    'With MTP, max_num_tokens must be the largest CUDA graph batch × (num_nextn_predict_layers + 1).';
  return [finding(level, 'MTP', value, hint)];
}

/** TensorRT-LLM's file, then the flags of vLLM, SGLang and the mocker, which win. */
function limitsOf(file: Settings, command: readonly string[]): Limits {
  const flag = (...names: readonly string[]): number | null => flagNumber(command, names);
  const has = (name: string): boolean => command.includes(name);
  const speculative = asSettings(file['speculative_config']);
  const drafts = String(speculative['decoding_type'] ?? '').toUpperCase() === 'MTP';
  const sglang = command.some((word) => /\bsglang\b/.test(word));
  const maxRequests = flag('--max-num-seqs', '--max-running-requests', '--max-batch-size');
  return {
    tensorParallel: flag(...PARALLEL_FLAGS.tensor) ?? whole(file['tensor_parallel_size']),
    pipelineParallel: flag(...PARALLEL_FLAGS.pipeline) ?? whole(file['pipeline_parallel_size']),
    maxSeqLen: flag('--max-model-len', '--context-length', '--max-seq-len') ?? whole(file['max_seq_len']),
    maxNumTokens: flag('--max-num-batched-tokens', '--max-num-tokens') ?? whole(file['max_num_tokens']),
    maxBatchSize: maxRequests ?? whole(file['max_batch_size']),
    attentionDp: file['enable_attention_dp'] === true,
    dataParallel: flag('--data-parallel-size', '-dp'),
    chunkedPrefill:
      file['enable_chunked_prefill'] === true ||
      file['enable_chunked_context'] === true ||
      has('--enable-chunked-prefill') ||
      sglang ||
      // vLLM's and the mocker's default.
      (command.some((word) => /\b(?:vllm|mocker)\b/.test(word)) && !has('--no-enable-chunked-prefill')),
    transferTokens: whole(asSettings(file['cache_transceiver_config'])['max_tokens_in_buffer']),
    draftLayers: drafts ? whole(speculative['num_nextn_predict_layers']) : null,
    largestGraphBatch: largestGraph(file),
  };
}

/** Both places that versions have for the batch sizes of CUDA graphs. */
function largestGraph(file: Settings): number | null {
  const config = asSettings(file['cuda_graph_config']);
  const sizes = [
    ...asList(file['cuda_graph_batch_sizes']),
    ...asList(config['batch_sizes']),
    config['max_batch_size'],
    file['cuda_graph_max_batch_size'],
  ];
  const known = sizes.map(whole).filter((size) => size !== null);
  return known.length === 0 ? null : Math.max(...known);
}

/** Value of the last of the flags that stands in the command, `--flag N` or `--flag=N`. */
function flagNumber(command: readonly string[], names: readonly string[]): number | null {
  let value: number | null = null;
  command.forEach((word, index) => {
    const [name, inline] = word.split('=', 2);
    if (names.includes(name!)) value = whole(Number(inline ?? command[index + 1])) ?? value;
  });
  return value;
}

function whole(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : null;
}

function asSettings(value: unknown): Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {};
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
