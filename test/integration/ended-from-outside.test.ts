import { cpSync, createReadStream, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import {
  type Agent,
  expectFailure,
  expectSmallStateDir,
  expectSuccess,
  processAt,
  processesAt,
  startAgent,
  stoppedTool,
  stoppingTool,
  type Workspace,
  workspace,
} from './workspace.ts'

/** A restore that is ended from outside: by the user, by the system, by somebody who kills its tools. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** A pipe that stays open in mid-stream, so that extract lasts until it is ended. */
const heldStream = () =>
  Readable.from(
    (async function* () {
      let sent = 0
      for await (const piece of createReadStream(backup.full.bare)) {
        yield piece
        sent += piece.length
        if (sent > 20_000_000) await new Promise(() => {})
      }
    })(),
  )

/** The tool itself, not the shell around it. */
const EXTRACT = /^\S*mbstream -x/
const PREPARE = /^\S*mariadb-backup --prepare/

/** Each gets the restore to where a tool of that phase runs, and gives the tool's pid. */
const PHASES: Record<string, (at: Workspace) => Promise<[Agent, number]>> = {
  'extract from a file': async at => [at.start([backup.full.zst]), await processAt(at.dir, EXTRACT)],
  'extract from a pipe': async at => [at.start(['-'], { stdin: heldStream() }), await processAt(at.dir, EXTRACT)],
  prepare: async at => [at.start([backup.full.zst]), await processAt(at.dir, PREPARE)],
}

describe.each(Object.entries(PHASES))('in %s', (_, reach) => {
  test.each<[NodeJS.Signals, ErrorCode]>([
    ['SIGINT', 'cancelled'],
    ['SIGTERM', 'terminated'],
  ])('%s: %s', async (signal, code) => {
    const at = workspace()
    const [agent] = await reach(at)
    process.kill(agent.pid, signal)
    const ended = await agent.ended
    expectFailure(at, ended, code)
    expectSmallStateDir(at)
    expect(at.state()).toMatchObject({ status: 'cancelled', phase: 'failed', error: { code }, spans: [], tools: [] })
  })
})

test('a tool is killed in extract from a pipe, which cannot be read again: tool_killed', async () => {
  const at = workspace()
  const agent = at.start(['-'], { stdin: heldStream() })
  process.kill(await processAt(at.dir, EXTRACT), 'SIGKILL')
  const ended = await agent.ended
  expectFailure(at, ended, 'tool_killed')
  expect(ended.stderr).toMatch(/mbstream was killed by SIGKILL/)
})

describe.each([
  ['extract', EXTRACT],
  ['prepare', PREPARE],
] as const)('a tool is killed in %s of a file', (_, command) => {
  test('without retries: tool_killed', async () => {
    const at = workspace()
    const agent = at.start([backup.full.zst], { args: ['--retries', '0'] })
    process.kill(await processAt(at.dir, command), 'SIGKILL')
    expectFailure(at, await agent.ended, 'tool_killed')
  })

  test('with retries: the next attempt restores it', async () => {
    const at = workspace()
    const agent = at.start([backup.full.zst], { args: ['--retry-delay', '100ms'] })
    process.kill(await processAt(at.dir, command), 'SIGKILL')
    expectSuccess(await agent.ended)
    expect(at.state()).toMatchObject({ status: 'succeeded', attempt: 2 })
    expect(readdirSync(at.datadir)).toContain('ibdata1')
  })
})

describe('the hint of a cancelled restore is true of what remains', () => {
  const hintOf = ({ stderr }: { stderr: string }) => /^hint: (.*)$/m.exec(stderr)![1]

  test('after all was moved the datadir stays', async () => {
    const at = workspace()
    const agent = at.start([backup.full.zst], { args: ['--start-check', '--owner', 'nobody:nogroup'] })
    await processAt(at.dir, /^\S*(?:mariadbd|mysqld) /)
    process.kill(agent.pid, 'SIGINT')
    const ended = await agent.ended
    expect(readdirSync(at.datadir)).toContain('ibdata1')
    expect(ended.code).toBe(130)
    expect(hintOf(ended)).toContain(`${at.datadir} holds all that was restored`)
    expect(at.state()!.error!.hint).toBe(hintOf(ended))
    expect(processesAt(at.dir)).toEqual([])
  })

  test('what was prepared in place is not the backup that it was', async () => {
    const at = workspace()
    const source = join(at.dir, 'source')
    cpSync(backup.full.extracted, source, { recursive: true })
    const tool = stoppingTool(at, '--move-back')
    const agent = at.start([source], { args: ['--in-place', '--tool-path', tool] })
    await stoppedTool(at)
    process.kill(agent.pid, 'SIGTERM')
    const ended = await agent.ended
    expectFailure(at, ended, 'terminated', { kept: ['mariadb-backup', 'source'] })
    expect(hintOf(ended)).toBe(`${source} was consumed in place: restore-agent inspect says what it is now`)
    expect((await startAgent(['inspect', source]).ended).stdout).toMatch(/^type +full, prepared$/m)
  })
})

describe('a tool that does not hear SIGINT', () => {
  const startStopped = async (at: Workspace, word: string): Promise<Agent> => {
    const agent = at.start([backup.full.zst], { args: ['--tool-path', stoppingTool(at, word)] })
    await stoppedTool(at)
    return agent
  }
  const KEPT = { kept: ['mariadb-backup'] }

  test('is killed after a grace', async () => {
    const at = workspace()
    const agent = await startStopped(at, '--prepare')
    const startedAtMs = performance.now()
    process.kill(agent.pid, 'SIGTERM')
    expectFailure(at, await agent.ended, 'terminated', KEPT)
    expect(performance.now() - startedAtMs).toBeGreaterThan(4000)
  })

  test.each(['--prepare', '--move-back'])('in %s is killed at once at the second signal', async word => {
    const at = workspace()
    const agent = await startStopped(at, word)
    const startedAtMs = performance.now()
    process.kill(agent.pid, 'SIGINT')
    await sleep(1000) // sooner, it would count as the same
    expect(processesAt(at.dir).length).toBeGreaterThan(1)
    process.kill(agent.pid, 'SIGINT')
    const ended = await agent.ended
    expect(performance.now() - startedAtMs).toBeLessThan(4000)
    expectFailure(at, ended, 'cancelled', KEPT)
    expect(at.state()).toMatchObject({ status: 'cancelled', spans: [], tools: [] })
  })
})
