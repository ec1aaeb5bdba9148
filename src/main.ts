#!/usr/bin/env node
import { runCli } from './cli/run-cli.ts'

// The only place that exits the process: exit codes stand in errors.ts.
process.exit(await runCli(process.argv.slice(2)))
