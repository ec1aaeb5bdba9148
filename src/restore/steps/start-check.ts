import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { RestoreError } from '../../errors.ts'
import { toolEnv } from '../../process/tool-env.ts'
import type { Command } from '../../tool/command.ts'
import { SERVER_SOCKET } from '../../tool/server-command.ts'
import { serverGrammar } from '../../tool/server-grammar.ts'
import type { RestoreContext } from '../context.ts'
import { noticeOnce } from '../context.ts'
import { clientProgram } from '../plan/find-tool.ts'
import type { Plan } from '../plan/plan.ts'
import { runTools } from '../run/run-tools.ts'
import type { ToolRun } from '../run/tool-run.ts'
import { toolsOf } from '../state/runs.ts'
import { type Ask, checkTables } from './check-tables.ts'
import { isPartial } from './kept-files.ts'

/**
 * Starts a server on the restored datadir that nobody else can reach (no network, no replication, no events, no grants
 * to ask for, no binlog), checks its system tables, opens all others, and stops it. InnoDB's own recovery and the rollback of
 * what was open when the backup ended happen here instead of at the first real start.
 */
/** A server that rolls back a long transaction first answers late; it is only given up when it ends. */
const ASK_EVERY_MS = 250

/** What the server must be told of the files to read them, from the backup's own backup-my.cnf. */
export function layoutArguments(backupConfig: string): string[] {
  if (!existsSync(backupConfig)) return []
  return readFileSync(backupConfig, 'utf8')
    .split('\n')
    .filter(line => /^innodb_(page_size|data_file_path|undo_tablespaces)\s*=/.test(line))
    .map(line => `--${line.replace(/\s*=\s*/, '=').trim()}`)
}

export async function startCheck(context: RestoreContext, command: Command, plan: Plan): Promise<void> {
  const { datadir, elements } = plan
  const { family } = plan.tool
  const client = clientProgram(family)
  const adopted = toolsOf(context.store.state, { kind: 'start_check' }).length > 0
  const ended = { value: false }
  let checked = false
  const server = runTools(context, {
    id: { element: elements.length, kind: 'start_check' },
    stages: [{ command, grammar: serverGrammar() }],
    judge: judgeServer,
    stdin: 'ignore',
    cwd: datadir,
  }).finally(() => {
    ended.value = true
  })
  server.catch(() => {}) // awaited below, also when the questions fail first
  try {
    const sql: Ask = statement => ask(client, datadir, statement)
    while (!ended.value && !(await answers(sql))) await sleep(ASK_EVERY_MS)
    if (!ended.value) {
      const notices = await checkTables(sql, family, isPartial(context.runDir, elements.length))
      checked = true
      for (const text of notices) noticeOnce(context, text)
      if (!ended.value) await sql('SHUTDOWN')
    }
  } catch (error) {
    if (!ended.value) await ask(client, datadir, 'SHUTDOWN').catch(() => {})
    await server // a server that died is the cause of a question without answer
    throw error instanceof RestoreError
      ? error
      : new RestoreError('server_failed', `the restored server does not answer: ${(error as Error).message}`)
  }
  await server
  if (checked) return
  // It ended in order while no agent watched: whether anybody had asked it is not known.
  if (adopted) return startCheck(context, command, plan)
  throw new RestoreError('server_failed', 'the restored server was shut down before it could be asked')
}

/** Only what the server says of the data speaks against the backup: an older one would fail here for any other reason as well. */
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

const answers = (sql: Ask) =>
  sql('SELECT 1').then(
    () => true,
    () => false,
  )

async function ask(client: string, datadir: string, statement: string): Promise<string[]> {
  const { stdout } = await execa(
    client,
    ['--no-defaults', '--protocol=socket', `--socket=${SERVER_SOCKET}`, '--user=root', '-NB', '-e', statement],
    { cwd: datadir, stdin: 'ignore', env: toolEnv(), extendEnv: false },
  )
  return stdout.split('\n').filter(Boolean)
}
