import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { RestoreError } from '../../errors.ts'
import { endGroups, signalMembers } from '../../process/kill-groups.ts'
import { systemError } from '../../process/system-error.ts'
import { toolEnv } from '../../process/tool-env.ts'
import type { Command } from '../../tool/command.ts'
import { enginePlugins, serverSettings, socketIn } from '../../tool/server-command.ts'
import { serverGrammar } from '../../tool/server-grammar.ts'
import { changeCleanup, type RestoreContext, untilWritten } from '../context.ts'
import { filesUnder } from '../plan/describe-backup.ts'
import { clientProgram } from '../plan/find-tool.ts'
import type { Plan } from '../plan/plan.ts'
import { addMovedFiles } from '../resume/cleanup.ts'
import { runTools } from '../run/run-tools.ts'
import type { ToolRun } from '../run/watch-tool.ts'
import { type RunKind, toolsOf } from '../state/runs.ts'
import type { Sql } from './check-tables.ts'

/**
 * Runs a server on the restored datadir that no other user can reach: as the owner of the files, never as root, with
 * its socket in a directory of mode 0700 created for it.
 */

/** Times in ms. A server that first rolls back a long transaction answers late; it is given up only when it exits. */
export const SERVER_TIMES = { askEvery: 250, answerWithin: 10_000, shutdownWithin: 300_000, termWithin: 60_000 }
export type ServerTimes = typeof SERVER_TIMES

type RunAs = { uid: number; gid: number } | undefined

/** The directory of the server's socket, from its planned command. */
export const directoryOf = ({ args }: Pick<Command, 'args'>): string =>
  args.find(arg => arg.startsWith('--socket='))!.replace(/^--socket=(.*)\/.*/, '$1')

/**
 * Starts the server, waits until it answers, runs `ask`, and shuts it down. Null if the server was adopted and exited
 * normally before this agent could ask. Throws `server_failed`, and what `ask` and the judge throw.
 */
export async function askServer<T>(
  context: RestoreContext,
  kind: RunKind,
  command: Command,
  ask: (sql: Sql) => Promise<T>,
  times: ServerTimes = SERVER_TIMES,
): Promise<{ answer: T } | null> {
  const { store, toolLock } = context
  const { datadir, elements, tool } = store.state.plan!
  const processes = () => toolsOf(store.state, { kind })
  const adopted = processes().length > 0
  const client = clientProgram(tool.family)
  const socket = socketIn(directoryOf(command))
  const sql: Sql = (statements, options) => query(client, socket, command.runAs, statements, options)
  let hasEnded = false
  const server = runTools(context, {
    id: { kind, element: elements.length },
    stages: [{ command, grammar: serverGrammar() }],
    judge: judgeServer,
    stdin: 'ignore',
    cwd: datadir,
  }).finally(() => {
    hasEnded = true
  })
  server.catch(() => {}) // awaited below, also when the questions fail first
  const within = (ms: number) => Promise.race([server.catch(() => {}), sleep(ms, undefined, { ref: false })])
  let answered: { answer: T } | null = null
  /** SHUTDOWN is no statement before MySQL 5.7.9: SIGTERM asks for the same. */
  const stop = async () => {
    const asked = await sql('SHUTDOWN', { withinMs: times.answerWithin }).then(
      () => true,
      () => false,
    )
    if (asked) await within(times.shutdownWithin)
    if (!hasEnded) for (const one of processes()) signalMembers(one, 'SIGTERM')
    if (!hasEnded) await within(asked ? times.termWithin : times.shutdownWithin)
    if (hasEnded) return server
    await endGroups(processes(), { graceMs: 0, lock: toolLock.file() })
    await server.catch(() => {})
    const seconds = Math.round((times.shutdownWithin + (asked ? times.termWithin : 0)) / 1000)
    throw new RestoreError('server_failed', `the restored server did not end within ${seconds} s and was killed`, {
      hint: `its tables were ${answered ? '' : 'not '}checked; its own recovery at the next start does the rest`,
    })
  }
  try {
    while (!hasEnded && !(await answers(sql, times))) await sleep(times.askEvery)
    if (!hasEnded) answered = { answer: await ask(sql) }
  } catch (error) {
    if (!hasEnded) await stop()
    await server // a server that died explains a query without an answer
    throw error instanceof RestoreError
      ? error
      : new RestoreError('server_failed', `the restored server does not answer: ${(error as Error).message}`)
  }
  if (!hasEnded) await stop()
  await server
  if (answered !== null || adopted) return answered
  throw new RestoreError('server_failed', `the restored server (${tool.family}) was shut down before it was asked`)
}

const answers = (sql: Sql, { answerWithin }: ServerTimes) =>
  sql('SELECT 1', { withinMs: answerWithin }).then(
    () => true,
    () => false,
  )

/** Only messages about the data count against the backup: any other failure would hit an older backup too. */
export const judgeServer: ToolRun['judge'] = ([server]) => {
  const { code, signal } = server!.exit
  if (code === 0) return null
  if (signal === 'SIGKILL')
    return { code: 'tool_killed', message: `${server!.program} was killed by ${signal}`, stage: 0 }
  const { failures } = server!
  const failure = ['disk_full', 'server_failed', 'start_check_failed']
    .map(named => failures.find(({ code }) => code === named))
    .find(found => found !== undefined)
  if (failure === undefined) return { code: 'server_failed', message: 'the restored server ended by itself', stage: 0 }
  return { code: failure.code, message: `the restored server ended by itself: ${failure.text}`, stage: 0 }
}

/**
 * Statements go through the client's stdin, one a line. With `force` it goes on after an error and returns the errors.
 */
async function query(
  client: string,
  socket: string,
  runAs: RunAs,
  statements: string,
  { withinMs, force = false }: Parameters<Sql>[1] = {},
): Promise<string[]> {
  const { stdout, stderr } = await execa(
    client,
    [
      '--no-defaults',
      '--protocol=socket',
      `--socket=${socket}`,
      '--user=root',
      '--default-character-set=utf8',
      '-NB',
      ...(force ? ['--force'] : []),
    ],
    {
      input: `${statements}\n`,
      env: toolEnv(),
      extendEnv: false,
      reject: !force,
      killSignal: 'SIGKILL',
      ...(withinMs !== undefined && { timeout: withinMs }),
      ...(runAs && { uid: runAs.uid, gid: runAs.gid }),
    },
  )
  return (force ? stderr : stdout).split('\n').filter(Boolean)
}

/** What the server must be told of the files, and plugins that read them. */
export async function settingsFor({ datadir, tool }: Plan, program: string, backupConfig: string): Promise<string[]> {
  const settings = serverSettings(existsSync(backupConfig) ? readFileSync(backupConfig, 'utf8') : '')
  return tool.family === 'mariadb-backup' ? [...settings, ...(await pluginSettings(datadir, program))] : settings
}

async function pluginSettings(datadir: string, program: string): Promise<string[]> {
  const { stdout } = await execa(program, ['--no-defaults', '--help', '--verbose'], {
    reject: false,
    env: toolEnv(),
    extendEnv: false,
    timeout: 10_000,
    killSignal: 'SIGKILL',
  })
  const pluginDir = /^plugin-dir\s+(\S+)/m.exec(stdout)?.[1]
  const installed = pluginDir && existsSync(pluginDir) ? await readdir(pluginDir) : []
  if (installed.length === 0) return []
  let hasArchive = false
  for await (const path of filesUnder(datadir)) if (path.endsWith('.ARZ')) hasArchive = true
  return enginePlugins({ hasArchive, hasRocksDb: existsSync(join(datadir, '#rocksdb')) }, installed)
}

/** In the ledger before it is created, so that a kill between the two leaves nothing behind. */
export function makePrivateDirectory(context: RestoreContext, directory: string, runAs: RunAs): void {
  const { created } = context.store.state.cleanup
  rmSync(directory, { recursive: true, force: true }) // of an agent that was killed; the name is this restore's own
  changeCleanup(context, { created: [...created.filter(name => name !== directory), directory] })
  try {
    mkdirSync(directory, { mode: 0o700 })
    if (runAs) chownSync(directory, runAs.uid, runAs.gid)
  } catch (thrown) {
    changeCleanup(context, { created })
    throw systemError(thrown, `cannot make ${directory} for the server`)
  }
}

export function removePrivateDirectory(context: RestoreContext, directory: string): void {
  rmSync(directory, { recursive: true, force: true })
  const { created } = context.store.state.cleanup
  if (created.includes(directory)) changeCleanup(context, { created: created.filter(name => name !== directory) })
}

/**
 * Made by a server for itself, and of no use to the next: auto.cnf gives the server's UUID, which two servers must not
 * share; the others are temporary names and dumps.
 */
const SERVER_LEFTOVER =
  /^(auto\.cnf|ib_logfile101|ib_buffer_pool(\.incomplete)?|multi-master\.info|ddl_recovery(-backup)?\.log|[\w-]+\.pem)$/

/** Files of the datadir that the servers of these runs created or changed, by their times. */
async function filesSinceStart({ runDir }: RestoreContext, datadir: string, kinds: string) {
  const created: string[] = []
  const changed: string[] = []
  const isOfRun = new RegExp(`-(?:${kinds})-.*\\.stderr$`)
  const starts = (await readdir(runDir))
    .filter(name => isOfRun.test(name))
    .map(name => statSync(join(runDir, name)).birthtimeMs)
  const startedAtMs = Math.min(...starts)
  for await (const path of starts.length > 0 ? filesUnder(datadir) : []) {
    const { mtimeMs, birthtimeMs } = await stat(path)
    if (birthtimeMs >= startedAtMs) created.push(path)
    if (mtimeMs >= startedAtMs) changed.push(path)
  }
  return { created, changed }
}

/** What a server created is this restore's too, should the datadir have to make room for an older backup. */
export async function recordCreated(context: RestoreContext, datadir: string, kinds: string): Promise<void> {
  const { created } = await filesSinceStart(context, datadir, kinds)
  await untilWritten(context, () => addMovedFiles(context.runDir, created))
}

/** Removes what the servers made for themselves. Returns the files that they changed, as paths in the datadir. */
export async function removeLeftovers(context: RestoreContext, datadir: string, kinds: string): Promise<string[]> {
  const { created, changed } = await filesSinceStart(context, datadir, kinds)
  const leftovers = new Set(created.filter(path => SERVER_LEFTOVER.test(relative(datadir, path))))
  for (const path of leftovers) rmSync(path)
  return changed
    .filter(path => !leftovers.has(path))
    .map(path => relative(datadir, path))
    .sort()
}
