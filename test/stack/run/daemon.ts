import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { ROOT } from './services.ts'

/** A real daemon, with telemetry to a stack. */
export interface Daemon {
  /** Begins a restore; its id. */
  post(backup: string): Promise<string>
  /** Waits for the end of the restore that runs: how it ended. */
  ended(): Promise<string>
  stop(): Promise<void>
}

const Authorization = 'Bearer correct-horse-battery-staple'

/** `sources` by the name of the backup. */
export async function startDaemon(
  directory: string,
  sources: Readonly<Record<string, string>>,
  env: Record<string, string>,
): Promise<Daemon> {
  const file = join(directory, 'serve.yaml')
  const backups = Object.entries(sources).map(([name, source]) => ({ name, source, datadir: join(directory, name) }))
  writeFileSync(join(directory, 'token'), 'correct-horse-battery-staple\n', { mode: 0o600 })
  const config = {
    listen: '127.0.0.1:0',
    token_file: 'token',
    state_dir: 'state',
    defaults: { use_memory: '64M' },
    backups,
  }
  writeFileSync(file, JSON.stringify(config))
  const child = execa(process.execPath, ['src/main.ts', 'serve', '--config', file], {
    cwd: ROOT,
    reject: false,
    stdin: 'ignore',
    env,
  })
  let log = ''
  child.stderr.on('data', text => {
    log += text
  })
  const until = async <T>(what: string, ask: () => T | null | Promise<T | null>): Promise<T> => {
    for (const deadline = Date.now() + 120_000; Date.now() < deadline; await sleep(100)) {
      const found = await ask()
      if (found !== null) return found
    }
    throw new Error(`waited for ${what}:\n${log}`)
  }
  const url = await until('the address', () => /http:\/\/[\d.:]+/.exec(log)?.[0] ?? null)
  await until('readiness', async () => (await fetch(`${url}/readyz`)).ok || null)
  return {
    async post(backup) {
      const headers = { 'Content-Type': 'application/json', Authorization }
      const answer = await fetch(`${url}/restore`, { method: 'POST', headers, body: JSON.stringify({ backup }) })
      const { restore_id } = (await answer.json()) as { restore_id?: string }
      if (restore_id === undefined) throw new Error(`${answer.status}: ${log}`)
      return restore_id
    },
    ended: () =>
      until('the end of the restore', async () => {
        const { status } = (await (await fetch(`${url}/status/restore`, { headers: { Authorization } })).json()) as {
          status: string
        }
        return status === 'running' ? null : status
      }),
    async stop() {
      child.kill('SIGTERM')
      const killer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await child
      clearTimeout(killer)
    },
  }
}
