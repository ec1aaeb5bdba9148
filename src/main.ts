#!/usr/bin/env node
import { runCli } from './cli/run-cli.ts'

// At SIGUSR1 Node opens its debugger on a loopback port, where every local user could run code with this process's
// rights.
process.on('SIGUSR1', () => {})

// The reader of the output may go, as `head` does: no error of a restore.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

// The only place that exits the process: exit codes stand in errors.ts.
runCli(process.argv.slice(2)).then(code => process.exit(code))
