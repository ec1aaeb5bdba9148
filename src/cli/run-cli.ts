import { Command, CommanderError, Option } from 'commander'
import { exitCodeOf, RestoreError, toRestoreError } from '../errors.ts'
import { checkNode } from './check-node.ts'
import { licences } from './licences.ts'
import { reportError } from './report-error.ts'
import { version } from './version.ts'

/**
 * argv to exit code. Each command's module is imported only when it is used, so that `--help` stays fast. Errors of
 * every command become one message with code and hint here.
 */
export async function runCli(argv: readonly string[]): Promise<number> {
  let exitCode = 0
  try {
    checkNode(process.version)
    checkWorkingDirectory()
    const reads = ['restore', 'inspect', 'list', 'check'].some(command => argv.includes(command))
    const flags = reads ? await import('./restore-flags.ts') : null
    const program = buildProgram(flags, code => {
      exitCode = code
    })
    await program.parseAsync([...argv], { from: 'user' })
    return exitCode
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.code === 'licenses') return printLicences()
    if (thrown instanceof CommanderError) return commanderExit(thrown, argv)
    const error = toRestoreError(thrown)
    reportError(error.record, process, reportOptions(argv))
    if (error.code === 'internal' && error.cause instanceof Error) process.stderr.write(`${error.cause.stack}\n`)
    return exitCodeOf(error.code)
  }
}

/** Relative paths have no meaning in a directory that was removed. Throws `usage`. */
function checkWorkingDirectory(): void {
  try {
    process.cwd()
  } catch (cause) {
    throw new RestoreError('usage', 'the working directory was removed', { hint: 'cd to one that exists', cause })
  }
}

const reportOptions = (argv: readonly string[]) => ({
  json: argv.includes('--json'),
  color: process.stderr.isTTY === true && !process.env.NO_COLOR && !argv.includes('--no-color'),
})

/** More than a pipe holds: ends when its reader has all of it, or has gone. */
const printLicences = (): Promise<number> => new Promise(resolve => process.stdout.write(licences(), () => resolve(0)))

/** Commander has printed help or the version, or explains what is wrong with the arguments. */
function commanderExit(thrown: CommanderError, argv: readonly string[]): number {
  if (thrown.exitCode === 0) return 0
  if (thrown.code === 'commander.help') return exitCodeOf('usage') // no command: help on stderr is the message
  const error = new RestoreError('usage', thrown.message.replace(/^error: /, '').replaceAll('\n', ' '))
  reportError(error.record, process, reportOptions(argv))
  return exitCodeOf('usage')
}

export function buildProgram(
  flags: typeof import('./restore-flags.ts') | null,
  setExitCode: (code: number) => void,
): Command {
  const program = new Command('restore-agent')
    .description('Restores physical MySQL and MariaDB backups and tells any OpenTelemetry backend how far it is.')
    .version(version, '-V, --version')
    .option('--licenses', 'print the licences of restore-agent and of what is packed with it')
    .on('option:licenses', () => {
      throw new CommanderError(0, 'licenses', '')
    })
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      `
Examples:
  restore-agent restore /backups/full.xb.zst --datadir /var/lib/mysql --owner mysql:mysql
  restore-agent restore - --datadir /var/lib/mysql < full.xb.zst
  restore-agent list /backups
  restore-agent inspect /backups/full.xb.zst
  restore-agent check --datadir /var/lib/mysql

Telemetry is off until OTEL_EXPORTER_OTLP_ENDPOINT (or another OTEL_* variable) names a backend.`,
    )
  const restore = program
    .command('restore')
    .description('restore a backup into a new datadir')
    .argument(
      '[SOURCE...]',
      'stream file, extracted directory, or - for standard input; a chain: full first, then incrementals',
    )
    .addOption(flag('--config <file>', 'restore.yaml; every flag is also a key in it'))
    .action(async (sources: string[], flags: Readonly<Record<string, unknown>>) => {
      const { restoreCommand } = await import('./restore-command.ts')
      setExitCode(await restoreCommand(sources, flags))
    })
  for (const option of flags?.restoreFlags() ?? []) restore.addOption(option)
  program
    .command('serve')
    .description('run restores of configured backups for an HTTP API, as a daemon')
    .addOption(flag('--config <file>', 'serve.yaml; read again on SIGHUP'))
    .addOption(flag('--on-term <action>', 'on SIGTERM: detach (tools go on, the next agent adopts them) or cancel'))
    .addOption(flag('--log-format <format>', 'plain or json lines on stderr'))
    .action(async (flags: object) => {
      const { serveCommand } = await import('./serve-command.ts')
      setExitCode(await serveCommand(flags))
    })
  program
    .command('status')
    .description('show the restore that an agent runs or ran last')
    .addOption(flag('--watch', 'draw it until it ends'))
    .addOption(flag('--json', 'JSON as that of restore'))
    .addOption(
      flag('--url <url>', 'where the agent listens: unix:PATH or a URL (default: agent.sock in the state dir)'),
    )
    .addOption(flag('--config <file>', 'its serve.yaml, which says where'))
    .addOption(flag('--token-file <file>', 'the token it wants'))
    .addOption(flag('--no-color', 'no colours'))
    .action(async (flags: object) => {
      const { statusCommand } = await import('./status-command.ts')
      setExitCode(await statusCommand(flags))
    })
  const inspect = program
    .command('inspect')
    .description('say what a backup is; changes nothing')
    .argument('<SOURCE>', 'stream file, http, https or s3 URL, directory, or - for standard input')
    .addOption(flag('--full', 'read every byte and check every checksum'))
    .addOption(flag('--decrypt-key-file <file>', 'key of an encrypted backup'))
    .addOption(flag('--openssl-cipher <name>', 'cipher of a stream encrypted with openssl enc'))
    .addOption(flag('--json', 'print one JSON object'))
  for (const option of flags?.storeFlags() ?? []) inspect.addOption(option)
  inspect.action(async (source: string, flags: Record<string, unknown>) => {
    const { inspectCommand } = await import('./inspect-command.ts')
    setExitCode(await inspectCommand(source, flags))
  })
  const list = program
    .command('list')
    .description('list the backups in a place, and what is missing of them; changes nothing')
    .argument('<PLACE>', 'directory, or URL of a store, that holds backups')
    .addOption(flag('--layout <name>', 'which tool laid them out, where it is not told by what is there'))
    .addOption(flag('--json', 'print one JSON object'))
  for (const option of flags?.storeFlags() ?? []) list.addOption(option)
  list.action(async (place: string, flags: Record<string, unknown>) => {
    const { listCommand } = await import('./list-command.ts')
    setExitCode(await listCommand(place, flags))
  })
  program
    .command('transfer', { hidden: true })
    .argument('<NAME>', 'what the job on standard input reads')
    .action(async () => {
      const { transferCommand } = await import('./transfer-command.ts')
      setExitCode(await transferCommand())
    })
  const check = program
    .command('check')
    .description('say whether this machine can restore; changes nothing')
    .argument('[SOURCE...]', 'tell also whether these sources can be read, and how fast')
    .addOption(flag('--datadir <dir>', 'look at room and rights there'))
    .addOption(flag('--state-dir <dir>', 'look at rights there'))
    .addOption(flag('--tool-path <file>', 'the tool to use'))
    .addOption(flag('--json', 'print one JSON object'))
  for (const option of flags?.storeFlags() ?? []) check.addOption(option)
  check.action(async (sources: string[], flags: Record<string, unknown>) => {
    const { checkCommand } = await import('./check-command.ts')
    setExitCode(await checkCommand(sources, flags))
  })
  program
    .command('unpack', { hidden: true })
    .argument('<LAYER>', 'brotli or libsodium')
    .argument('[KEY_FILE]')
    .action(async (layer: 'brotli' | 'libsodium', keyFile?: string) => {
      const { unpackStream } = await import('../source/unpack-stream.ts')
      setExitCode(await unpackStream(layer, keyFile || null, process.stdin, process.stdout))
    })
  program.command('check-stream', { hidden: true }).action(async () => {
    const { checkStream } = await import('../source/check-stream.ts')
    setExitCode(checkStream())
  })
  return program
}

const flag = (name: string, description: string): Option => new Option(name, description)
