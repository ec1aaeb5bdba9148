#!/usr/bin/env node
import { runCli } from './cli/run-cli.ts'

// Node opens its debugger on a loopback port at SIGUSR1, where every local user could run code with our rights.
process.on('SIGUSR1', () => {})

// The only place that exits the process: exit codes stand in errors.ts.
process.exit(await runCli(process.argv.slice(2)))
