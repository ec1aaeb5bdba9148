import { chmodSync, cpSync, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, inject } from 'vitest'
import { startServer } from '../integration/private-server.ts'
import { type Ended, expectSuccess, type RunOptions, type Workspace } from '../integration/workspace.ts'
import { type StepName, type Truth, truthOf } from './make-history.ts'

/** `--owner`: no server runs as root. */
export const OWNER = ['--owner', 'nobody:nogroup']

export const restoreTo = (at: Workspace, args: readonly string[], options: RunOptions = {}): Promise<Ended> => {
  const { backup, binlogs } = inject('history')
  return at.restore([backup], { ...options, args: [...OWNER, '--binlogs', binlogs, ...args] })
}

/** What a server finds in the restored datadir. */
export async function restored({ datadir, dir }: Workspace): Promise<Truth> {
  const copy = join(dir, 'compared')
  cpSync(datadir, copy, { recursive: true })
  chmodSync(copy, 0o755)
  const server = await startServer(copy)
  try {
    return await truthOf(server)
  } finally {
    await server.stop()
  }
}

/** It succeeded, left nothing beside the datadir, and holds what the source held after this step. */
export async function expectEqual(at: Workspace, ended: Ended, step: StepName): Promise<void> {
  expectSuccess(ended)
  expect(readdirSync(at.dir).sort()).toEqual(['data', 'state'])
  expect(readdirSync(at.datadir).filter(name => /relay|master\.info|incomplete/.test(name))).toEqual([])
  expect(existsSync(join(at.datadir, 'ibdata1'))).toBe(true)
  const { truth } = inject('history').marks[step]
  // The applier disables them, and a notice says so.
  const events = truth.events.map(event => event.replace(/(EN|DIS)ABLED$/, 'SLAVESIDE_DISABLED'))
  expect(await restored(at)).toEqual({ ...truth, events })
  for (const event of events) expect(at.state()!.notices.join('\n')).toContain(event.split('\t').slice(0, 2).join('.'))
}
