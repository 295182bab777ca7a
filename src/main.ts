#!/usr/bin/env node
import { runApp } from './commands/app.ts';

process.exitCode = await runApp(process.argv.slice(2));
