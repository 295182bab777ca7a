#!/usr/bin/env node
import { runApp, tell } from './commands/app.ts';

// A reader that has seen enough (`bench report DIR | head`) is no error; the run's own exit code stays.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
process.on('uncaughtException', (error) => process.exit(tell(error)));
process.exitCode = await runApp(process.argv.slice(2));
