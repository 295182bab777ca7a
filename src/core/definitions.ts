import type { LevelReport, Report } from './report.ts';

/** What each number means, by the name it has in the report. */
const TEXTS = {
  good: 'A request whose response ended properly ([DONE], or a finish reason that does not say that the server gave it up or cut it), without an error and with at least one output token; only good requests enter latencies, rates and length proofs.',
  isl: "Input length in tokens: the prompt_tokens that the server reports, or the local tokenizer's count where the server reports none.",
  osl: "Output length in tokens: the completion_tokens that the server reports, or the local tokenizer's count where the server reports none.",
  ttftMs:
    'Time to first token, in ms = arrival of the first chunk that carries output (content, reasoning, refusal or arguments of a call) − send; opening a connection, if the request had to, is part of it.',
  itlMs:
    'Inter-token latency by chunk, in ms = the gap between two neighbouring chunks that carry output, pooled over all good requests.',
  tokenItlMs:
    'Inter-token latency by token, in ms = the gap between two neighbouring chunks ÷ the tokens that the later chunk carried, counted once per token and pooled over all good requests; it equals itlMs when each chunk carries one token.',
  tpotMs:
    'Time per output token, in ms = (e2e − ttft) ÷ (osl − 1), one value per request; a request with osl < 2 has none. Where some of its tokens are known to have come in no chunk of their own (unseenTokens), ÷ the tokens of all chunks behind the first.',
  e2eMs: 'End-to-end latency, in ms = arrival of the last chunk that carries output − send.',
  tokensPerChunk: 'Output tokens carried by one chunk, where somebody could tell.',
  tokensPerSPerUser:
    'Decode speed that one user sees, in tokens per second = 1000 ÷ tpotMs, one value per request.',
  unseenTokens:
    "Output tokens of good requests that the server counted and that came in no chunk of their own: held back before the first chunk with output, or counted behind the last (count); the requests that had some (requests), and those that had some of unknown number (unknown). Known by continuous usage, or by the model's tokenizer where the text is far shorter than the count.",
  bursts:
    "Most chunks came in groups (events: size of the group of the median chunk; everyMs: mean time between groups, null where whole outputs came at once): at most a tenth of their request's mean gap or 0.1 ms apart, with a pause of at least 10 ms between groups (whole outputs: 100 ms after the send), and not for a late reader. From 6 events on something holds them back, and ITL, token ITL, TPOT and tokensPerSPerUser are not the model's.",
  estimated:
    "Ids of metrics that stand on counts of a tokenizer that is not the model's, where the server sends no usage: estimates. Such a count neither proves nor refutes a length (estimated in islProof and oslProof).",
  requestTokensPerS:
    'Speed of one whole request, in tokens per second = (osl − tokens counted behind the last chunk) ÷ e2e, one value per request.',
  requestsPerS: 'Good requests ÷ (last response end − first send), measured requests only.',
  inputTokensPerS: 'Input tokens of good requests ÷ (last response end − first send).',
  outputTokensPerS:
    'Output tokens of good requests ÷ (last response end − first send); ramp-up and drain are part of that time.',
  totalTokensPerS: 'Input and output tokens of good requests ÷ (last response end − first send).',
  outputTokensPerSPerGpu: 'outputTokensPerS ÷ the number of GPUs that was given.',
  totalTokensPerSPerGpu: 'totalTokensPerS ÷ the number of GPUs that was given.',
  goodput:
    'Measured requests that ended well with TTFT, TPOT and E2E within all limits that were given (met), in an open loop counted from the instant that the schedule said; ÷ requests sent, failed ones included (attainmentRatio); ÷ (last response end − first send) (requestsPerS).',
  open: 'What an open loop adds: ttftFromDueMs and e2eFromDueMs run from the instant that the schedule wanted the request sent, so they hold what it waited before it was sent; held counts requests that found none of the slots free when they were due; lag is how much later requests ended, from that instant, per time that they were due later (0: the server keeps up; 0.5: it falls behind by half a second each second), with two-sided 95 % bounds over the arrivals behind the first quarter.',
  steady:
    "The steady window runs from the moment when each of the first C requests (C = concurrency) has shown a token to the last measured send; tokens and gaps count by arrival inside it, TTFT by send inside it; there is none when it is shorter than 2 median e2e. In an open loop it begins a p95 of the requests' length after the first send.",
  achievedConcurrency:
    'Requests in flight, averaged over the time from first send to last response end (time-weighted) = the time that all requests together were in flight in it ÷ its length.',
  failureRatio: 'Failed requests ÷ sent requests, measured requests only.',
  'requests.resent':
    'Measured requests that were sent a second time, on a new connection, because a kept one was closed before any byte of an answer; their latencies count from the first send.',
  wastedOutputTokens: 'Output tokens that arrived in requests that then failed; they count in no rate.',
  cachedTokens:
    'Prompt tokens that the server says it took from its prefix cache, summed over good requests; null when it did not say.',
  'audit.stampedBy':
    "Who stamped the events: kernel (the receive path of this host's kernel, as each TCP segment arrived; what a network card gathers before is outside), or process: the event loop, as it read them.",
  'audit.sendLagMs':
    'How late requests were sent, in ms = send − the moment the schedule wanted it sent. In a closed loop that is the turnaround: from the end of a response to the next request of its slot.',
  'audit.eventLoopDelayMs':
    'How long timers of 5 ms came too late in the measuring process, in ms; timers are good to about 1 ms.',
  'audit.eventLoopUtilizationRatio':
    'Share of the level that the event loop of the measuring process was not idle.',
  'audit.involuntarySwitches':
    'Times that the system took the processor away from the measuring process while it had work to do.',
  'audit.gc': 'Pauses of the garbage collector in the measuring process while the level ran.',
  'audit.reads':
    'Reads from sockets, their bytes, events per read, events that shared a read (sharedEvents), and the share that filled the buffer. waitMs is how long bytes waited to be read: read − stamp with the stamps of the kernel; without them an upper bound in a sample of the turns of the event loop, weighted by bytes. unstamped: reads without a usable stamp of the kernel, whose bytes have the reading time; reordered: those of them whose segments came out of order.',
  'audit.stampErrorMs':
    'By how much the instant of a chunk may be off, in ms, over all output chunks = upper − lower end of the interval in which each arrived. An event of a read of one segment has the stamp of that segment; of several segments that the kernel has merged the last event has the last stamp, the others arrived between the previous look at the socket (less twice the longest time seen from a stamp to its socket, at least 0.04 ms) and that stamp. Instants are kept in whole µs. null where the event loop stamps: then nothing bounds it.',
  'audit.ring':
    'The thread that reads the sockets: how often and how long it waited because the event loop did not take what it had read, and how often the system clock was set (stamps around that are not used).',
  'audit.otherCpuRatio':
    'Share of all cores of this host that other processes used while the level ran, those of a server on the same host included.',
  bounds:
    'Lower and upper end of each metric: a latency with its events as early and as late as their intervals allow; percentiles of all lower and of all upper ends. null where the event loop stamps.',
  server:
    "The server's side of a level by its own Prometheus metrics: of what takes requests (frontend), of workers that do nothing but prefill (prefill), and of the engines that answer (engine). Requests are added up over all addresses; of KV caches the fullest counts.",
  'server.running':
    'Requests that the server says it works on, one look a second. A frontend counts those in flight, an engine those in its batch.',
  'server.waiting':
    "Requests that the server says wait, one look a second: at Dynamo's frontend those without a first token, at an engine those in its queue.",
  'server.kvUseRatio': 'Share of the KV cache in use, of the fullest engine.',
  'server.cacheLookups':
    "What was looked up in the prefix cache over the level, and what of it was found (cacheHits), in the server's own unit: tokens, or blocks with TensorRT-LLM.",
  'server.spans':
    'What histograms of the server took up between a look before and a look after the load: mean = sum ÷ count; a percentile lies somewhere between two bounds of buckets.',
  'server.waterfall':
    "The mean TTFT of all requests sent between both looks, taken apart: opening connections (connect), the means that the server told over exactly as many requests, what is left of its own TTFT (serverOther), and what is left of the client's (unexplained: network, HTTP, and what the server does before its clock starts). The parts add up to the TTFT; one that overlaps others makes a negative rest, which is told as such.",
  validity:
    "By metric: valid when its bound is at most 1 % of its value (percentiles of ITL: 5 %) or 0.1 ms, whichever is larger; without the kernel's stamps the delays of the event loop estimate the bound. A level is valid when TTFT, ITL, TPOT, E2E and throughput are; suspect when some are not (doubtful names them, the others stand), or when the server counted otherwise; client-bound when the harness could not keep up. load: where the load was not quite what was asked.",
  percentiles:
    "Percentiles of per-request numbers are exact, by linear interpolation between closest ranks (numpy's default); those of pooled gaps come from an HDR histogram (3 significant digits, in µs). A percentile is marked thin when fewer samples than MLPerf's early-stopping table asks stand behind it (p90: 64, p95: 130, p99: 662, p99.9: 6,636).",
} as const satisfies Readonly<Record<string, string>>;

/**
 * Versions above 1. Raise one only when the meaning of a number changes, so that old and new values cannot be compared;
 * never for wording.
 */
const RAISED: Readonly<Partial<Record<keyof typeof TEXTS, Raised>>> = {
  // 2: a finish reason that says that the server gave up or cut the output makes it fail.
  good: {
    version: 2,
    differs: ({ failures }) => failures.aborted !== undefined || failures.filtered !== undefined,
  },
  // 2: without tokens that no chunk showed.
  tpotMs: { version: 2, differs: hasUnseenTokens },
  tokensPerSPerUser: { version: 2, differs: hasUnseenTokens },
  requestTokensPerS: { version: 2, differs: hasUnseenTokens },
  goodput: { version: 2, differs: hasUnseenTokens },
};

interface Raised {
  readonly version: number;
  /** Whether something occurred in a level that the version before counts otherwise. */
  readonly differs: (level: LevelReport) => boolean;
}

function hasUnseenTokens({ unseenTokens }: LevelReport): boolean {
  return unseenTokens !== undefined;
}

/** The text of each term, copied into every report, so that a report explains itself. */
export const DEFINITIONS: Readonly<Record<string, string>> = TEXTS;

/** The version of each term. Runs are comparable when every term that `isCompared` has the same version in all of them. */
export const DEFINITION_VERSIONS: Readonly<Record<string, number>> = Object.fromEntries(
  Object.keys(TEXTS).map((term) => [term, RAISED[term as keyof typeof TEXTS]?.version ?? 1]),
);

/**
 * The version before of terms by which the numbers of a run are the same: what the later one counts otherwise did not
 * occur. Runs of an older bench stay comparable with such a run.
 */
export function sameByVersions({ levels }: Pick<Report, 'levels'>): Record<string, readonly number[]> {
  return Object.fromEntries(
    Object.entries(RAISED).flatMap(([term, { version, differs }]) =>
      levels.some(differs) ? [] : [[term, [version - 1]]],
    ),
  );
}

/** Terms that define no compared number. */
const NOT_COMPARED =
  /^(audit\.|requests\.|server(\.|$)|(validity|tokensPerChunk|unseenTokens|bursts|estimated|achievedConcurrency|wastedOutputTokens|cachedTokens)$)/;

/** Whether a term defines a compared number. A term that this version of bench does not know counts as one that does. */
export function isCompared(term: string): boolean {
  return !NOT_COMPARED.test(term);
}
