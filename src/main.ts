#!/usr/bin/env node
import { runApp, tell } from './commands/app.ts';

// A reader that has seen enough (`bench report DIR | head`) is no error; the run's own exit code stays.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
// What a batch job is warned with by --signal=B:USR1 means the same as TERM. Left alone, Node opens its debugger.
process.on('SIGUSR1', () => process.kill(process.pid, 'SIGTERM'));
process.on('uncaughtException', (error) => process.exit(tell(error)));
process.exitCode = await runApp(process.argv.slice(2));
