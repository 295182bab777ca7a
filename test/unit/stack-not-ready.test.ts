import { describe, expect, it } from 'vitest';
import { allocationRefusal } from '../../src/stack/failure/allocation-refusal.ts';
import { type NotReadyFacts, type WaitingStep, whyNotReady } from '../../src/stack/failure/not-ready.ts';
import { pendingReason, whyPending } from '../../src/stack/failure/pending-reasons.ts';
import { whyLine } from '../../src/stack/failure/why-text.ts';

const step = (id: string, role: WaitingStep['role'], over: Partial<WaitingStep> = {}): WaitingStep => ({
  id,
  role,
  state: 'loading',
  loaded: { done: 4, of: 4 },
  waitingFor: [],
  quietMs: 10_000,
  logFile: `${id}.log`,
  ...over,
});

const facts = (over: Partial<NotReadyFacts>): NotReadyFacts => ({
  ended: 'deadline',
  waitedMs: 3_600_000,
  waitingFor: [],
  steps: [
    step('frontend-0', 'frontend', { state: 'ready', loaded: null }),
    step('prefill-0', 'prefill'),
    step('decode-0', 'decode'),
  ],
  instances: { prefill: 0, decode: 0, agg: 0 },
  expected: { prefill: 1, decode: 1, agg: 0 },
  models: [],
  servedModel: 'dsr1',
  canary: null,
  suspect: null,
  ...over,
});

describe('why a stack is not ready', () => {
  it('is a model never listed although all have loaded', () => {
    const why = whyNotReady(facts({}));
    expect(why).toMatchObject({
      failureClass: 'model-not-listed',
      message: 'all workers have loaded, but the frontend never listed dsr1; it counts no instance',
      step: 'frontend-0',
      logFile: 'frontend-0.log',
    });
    for (const word of ['ETCD_ENDPOINTS', 'DYN_NAMESPACE', 'request plane']) expect(why.hint).toContain(word);
  });

  it('is the step that does not come up, not those that wait for it', () => {
    const steps = [
      step('frontend-0', 'frontend', { state: 'loading', loaded: null, quietMs: 1_000 }),
      step('prefill-0', 'prefill', { state: 'pending', quietMs: 90_000 }),
    ];
    const why = whyNotReady(facts({ steps, instances: null, models: null, ended: 'stalled' }));
    expect(why).toMatchObject({ failureClass: 'stalled', step: 'frontend-0' });
  });

  it('is a model of another name, or of a foreign frontend', () => {
    expect(whyNotReady(facts({ models: ['qwen'] })).message).toBe('the frontend lists qwen, not dsr1');
  });

  it('is prefill that never registered while decode has', () => {
    const why = whyNotReady(facts({ instances: { prefill: 0, decode: 1, agg: 0 } }));
    expect(why).toMatchObject({ failureClass: 'prefill-missing', step: 'prefill-0' });
    // Also when the model is listed, as decode alone suffices for some versions.
    expect(
      whyNotReady(facts({ instances: { prefill: 0, decode: 1, agg: 0 }, models: ['dsr1'] })).failureClass,
    ).toBe('prefill-missing');
  });

  it('is replicas that are short', () => {
    const why = whyNotReady(
      facts({
        instances: { prefill: 1, decode: 1, agg: 0 },
        expected: { prefill: 1, decode: 4, agg: 0 },
        models: ['dsr1'],
      }),
    );
    expect(why).toMatchObject({ failureClass: 'instances-missing', step: 'decode-0' });
    expect(why.message).toBe('only 1 of 4 decode instances have registered');
  });

  it('is a step that SLURM never started', () => {
    const steps = [step('frontend-0', 'frontend'), step('prefill-0', 'prefill', { state: 'submitted' })];
    expect(whyNotReady(facts({ steps }))).toMatchObject({ failureClass: 'step-blocked', step: 'prefill-0' });
  });

  it('is an image that is never there', () => {
    const steps = [step('decode-0', 'decode', { state: 'started', quietMs: 3_600_000 })];
    expect(whyNotReady(facts({ steps, ended: 'import' }))).toMatchObject({
      failureClass: 'image',
      message: expect.stringContaining('no task has started in 60 min'),
      step: 'decode-0',
    });
  });

  it('is the canary', () => {
    const ready = { instances: { prefill: 1, decode: 1, agg: 0 }, models: ['dsr1'] };
    const why = whyNotReady(facts({ ...ready, ended: 'canary', canary: 'HTTP 500: Failed to generate' }));
    expect(why.failureClass).toBe('canary-failed');
    expect(why.message).toContain('HTTP 500: Failed to generate');
  });

  it('is a stall or a deadline, of the step that is late, with what it waits for', () => {
    const loading = [
      step('decode-0', 'decode', { loaded: { done: 1, of: 4 }, quietMs: 5000 }),
      step('prefill-0', 'prefill', {
        loaded: { done: 2, of: 4 },
        waitingFor: ['log /Model init total/'],
        quietMs: 900_000,
      }),
    ];
    const stalled = whyNotReady(facts({ steps: loading, ended: 'stalled' }));
    expect(stalled).toMatchObject({ failureClass: 'stalled', step: 'prefill-0' });
    expect(stalled.message).toBe(
      'nothing printed and nothing changed for 15 min (2 of 4 ranks loaded), waiting for log /Model init total/',
    );
    const late = whyNotReady(facts({ steps: loading }));
    expect(late).toMatchObject({ failureClass: 'not-ready', step: 'prefill-0' });
    expect(late.message).toMatch(/^not ready after 60 min/);
  });

  it('shows what a log suggests', () => {
    const suspect = {
      failureClass: 'network',
      message: 'Unable to create lease',
      hint: null,
      step: 'decode-0',
      rank: 0,
      node: 'node2',
      exitCode: null,
      evidence: { line: 'Unable to create lease', before: [], after: [] },
      logFile: 'decode-0.log',
    } as const;
    const why = whyNotReady(facts({ suspect }));
    expect(why.hint).toContain('The log of decode-0 says: Unable to create lease');
    expect(why).toMatchObject({ failureClass: 'model-not-listed', evidence: suspect.evidence });
  });
});

describe('a pending job', () => {
  it.each([
    // As squeue 22.05.8 gave them: 9 of 3 nodes, 5 min in a partition of 1 min, a partition that is down, …
    ['PartitionNodeLimit', true],
    ['PartitionTimeLimit', true],
    ['PartitionDown', false],
    ['PartitionConfig', false],
    ['Resources', false],
    ['Priority', false],
    ['JobHeldUser', true],
    ['BeginTime', false],
    ['Dependency', false],
    ['None', false],
    // From documents.
    ['ReqNodeNotAvail, UnavailableNodes:node7', true],
    ['InvalidAccount', true],
    ['InvalidQOS', true],
    ['AssocMaxJobsLimit', true],
    ['QOSMaxNodePerUserLimit', true],
    ['QOSMaxGRESPerUser', true],
    ['SomethingNew', false],
  ])('%s: no waiting helps: %s', (reason, terminal) => {
    expect(pendingReason(reason).terminal).toBe(terminal);
  });

  it('is told with the reason, in words', () => {
    const why = whyPending('16', 'PartitionNodeLimit', 3000);
    expect(why).toMatchObject({ failureClass: 'job-pending', hint: expect.stringContaining('sinfo') });
    expect(whyLine(why)).toBe(
      'job-pending: job 16 will not start: it asks for more nodes than the partition has or allows (PartitionNodeLimit)',
    );
    expect(whyPending('18', 'Resources', 1_800_000).message).toBe(
      'job 18 has not started in 1800 s: it waits for nodes to become free (Resources)',
    );
  });
});

describe('a refused allocation', () => {
  // As salloc and sbatch 22.05.8 printed them.
  it.each([
    [
      'salloc: error: invalid partition specified: nope\nsalloc: error: Job submit/allocate failed: Invalid partition name specified',
      'invalid partition specified: nope (Invalid partition name specified)',
      'sinfo',
    ],
    [
      'sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified',
      'invalid partition specified: nope (Invalid partition name specified)',
      'sinfo',
    ],
    ['salloc: error: Invalid generic resource (gres) specification', 'Invalid generic resource', 'GRES'],
    [
      'salloc: error: Job submit/allocate failed: Invalid feature specification',
      'Invalid feature specification',
      'constraint',
    ],
    ['salloc: error: Job submit/allocate failed: Invalid node name specified', 'Invalid node name', 'sinfo'],
    [
      'salloc: error: Job submit/allocate failed: Requested reservation is invalid',
      'Requested reservation is invalid',
      'reservation',
    ],
    [
      'salloc: error: Memory specification can not be satisfied\nsalloc: error: Job submit/allocate failed: Requested node configuration is not available',
      'Memory specification can not be satisfied',
      '--mem',
    ],
    [
      'salloc: unrecognized option \'--segment=2\'\nTry "salloc --help" for more information',
      '--segment=2',
      'cluster.extra',
    ],
    ['salloc: error: Unable to allocate resources: Requested nodes are busy', 'nodes are busy', 'full'],
    // From documents: the test cluster has no accounting.
    [
      'salloc: error: Job submit/allocate failed: Invalid account or account/partition combination specified',
      'Invalid account or account/partition combination specified',
      'sacctmgr',
    ],
  ])('says why: %s', (stderr, message, hint) => {
    const why = allocationRefusal(stderr, 1);
    expect(why).toMatchObject({ failureClass: 'allocation-refused', exitCode: 1 });
    expect(why?.message).toContain(message);
    expect(why?.hint).toContain(hint);
  });

  it('is not what a waiting or granted job prints', () => {
    const stderr =
      'salloc: Requested partition configuration not available now\nsalloc: Pending job allocation 4\nsalloc: job 4 queued and waiting for resources\nsalloc: Granted job allocation 4';
    expect(allocationRefusal(stderr, 0)).toBeNull();
  });
});
