#!/usr/bin/env node
import { runApp } from './commands/app.ts';

// A reader that has seen enough (`bench report DIR | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
process.exitCode = await runApp(process.argv.slice(2));
