import { EXIT, type ExitCode } from '../core/errors.ts';
import { printableLine } from '../core/printable.ts';
import type { WireName } from '../core/spec.ts';
import { startClock } from '../host/clock.ts';
import { parseAccess, parseExtraBody, parseOmit, parseTimeouts } from './arguments.ts';
import { Connection } from './connect.ts';
import { routeNotes } from './route-notes.ts';
import { TARGET_OPTIONS, type TargetArgs } from './target-options.ts';
import { print } from './terminal.ts';
import type { AddVerb } from './verb.ts';

/** `bench check`: what a server lists, and whether it streams. Exit 0 when it does, 3 when it does not. */
export async function runCheck(args: TargetArgs): Promise<ExitCode> {
  const access = parseAccess(args);
  const spec = {
    urls: access.targets.map((target) => target.url),
    model: args.model ?? null,
    endpoint: args.endpoint,
    server: args.server,
    wire: args.wire as WireName,
    connectionPerRequest: args['connection-per-request'],
    timeouts: parseTimeouts(args),
    extraBody: parseExtraBody(args['extra-body']),
    ...parseOmit(args.omit),
  };
  const connection = new Connection(spec, access, startClock());
  try {
    const say = (name: string, value: string): void => {
      print(`${`${name}:`.padEnd(12)} ${printableLine(value)}\n`);
    };
    const { throughProxy, directly } = routeNotes(connection.controls);
    for (const note of [...throughProxy, ...directly]) say('note', note);
    const identified = await connection.identify();
    say('url', spec.urls.join(', '));
    say(
      'models',
      identified.modelsListed === null ? 'no list' : identified.modelsListed.join(', ') || 'none',
    );
    say('model', identified.model);
    say('server', `${identified.server.name} (${identified.serverBy === 'flag' ? 'as told' : 'probed'})`);
    for (const note of identified.notes) say('note', note);
    const canary = await connection.canary(identified);
    const { record } = canary.finished;
    say('status', String(record.status));
    say('text', JSON.stringify(canary.text.slice(0, 120)));
    say(
      'usage',
      `${record.isl.counted ?? 'no'} prompt tokens, ${record.osl.counted ?? 'no'} completion tokens`,
    );
    say('finish', record.finishReason ?? 'no reason given');
    say(
      'TTFT',
      record.firstAtMs === null ? 'no visible text' : `${(record.firstAtMs - record.sentAtMs).toFixed(1)} ms`,
    );
    say('E2E', `${(record.endAtMs - record.sentAtMs).toFixed(1)} ms`);
    if (canary.refusedFields.length > 0) say('refused', canary.refusedFields.join(', '));
    for (const warning of canary.warnings) say('warning', warning);
    return EXIT.ok;
  } finally {
    await connection.close();
  }
}

/** Puts `bench check` into the parser. */
export const addCheck: AddVerb = (y, { usage, about, declare, set }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(inner, TARGET_OPTIONS).example('$0 check --url http://head:8000', 'is the stack really ready?'),
    async (argv) => set(await runCheck(argv)),
  );
