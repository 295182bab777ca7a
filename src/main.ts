#!/usr/bin/env node
import { runApp, tell } from './commands/app.ts';
import { watchOutput } from './commands/terminal.ts';

watchOutput();
// What a batch job is warned with by --signal=B:USR1 means the same as TERM. Left alone, Node opens its debugger.
process.on('SIGUSR1', () => process.kill(process.pid, 'SIGTERM'));
process.on('uncaughtException', (error) => process.exit(tell(error)));
process.exitCode = await runApp(process.argv.slice(2));
