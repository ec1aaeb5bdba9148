import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, inject, test } from 'vitest'
import { type Agent, type Ended, processesAt, type Workspace, workspace } from '../integration/workspace.ts'
import { until } from '../support/until.ts'
import { expectEqual, OWNER } from './equal.ts'

/**
 * `kill -9` of the agent, the server that applies, or both, at random moments of apply; then the same command again.
 * Either the data are equal, or the restore says that it must begin again, where the server was changing what no
 * transaction covers. SEED repeats a run.
 */
const KILLS = Number(process.env.KILLS ?? 5)
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const VICTIMS = ['server', 'agent', 'both'] as const

/** mulberry32: the same numbers for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

const { backup, binlogs } = inject('history')
const start = (at: Workspace): Agent => at.start([backup], { args: [...OWNER, '--binlogs', binlogs] })

const appliers = ({ datadir }: Workspace) =>
  processesAt(datadir).filter(({ command }) => /^\S*mariadbd .*--init-file/.test(command))

/** Which bytes are applied when it is killed is as random as the machine is. */
async function killIn(at: Workspace, agent: Agent, victim: (typeof VICTIMS)[number], share: number): Promise<boolean> {
  const total = await until(() => at.state()?.plan?.binlogs?.bytes, 'the plan', 60_000)
  const info = join(at.dir, 'none')
  const relayInfo = () => {
    const { relayDir } = at.state()!.plan!.steps.find(step => step.kind === 'apply_binlogs')!
    return join(relayDir, 'relay-log.info')
  }
  let ended = false
  agent.ended.then(() => {
    ended = true
  })
  const applied = () => {
    if (ended) return Number.POSITIVE_INFINITY
    const path = appliers(at).length > 0 ? relayInfo() : info
    if (!existsSync(path)) return 0
    const lines = readFileSync(path, 'latin1').split('\n')
    const index = Number(/\.(\d{6})$/.exec(lines[1] ?? '')?.[1] ?? 1) - 1
    const { files } = at.state()!.plan!.binlogs!
    const before = files.slice(0, index).reduce((sum, file) => sum + file.to - file.from, 0)
    return before + Number(lines[2] ?? 0)
  }
  await until(() => applied() >= share * total && (share === 0 ? appliers(at).length > 0 : true), 'apply', 120_000)
  if (ended) return false
  const servers = appliers(at)
  if (victim !== 'server') process.kill(agent.pid, 'SIGKILL')
  if (victim !== 'agent') for (const { pid } of servers) process.kill(pid, 'SIGKILL')
  return true
}

const BEGIN_AGAIN = /error binlog_apply_failed: .*\n(?:.*\n)*?hint: .*begin again from the backup/

async function endOf(at: Workspace, agent: Agent, victim: (typeof VICTIMS)[number]): Promise<Ended> {
  const ended = await agent.ended
  if (victim === 'server') return ended
  await sleep(200)
  return start(at).ended
}

const random = randomFrom(SEED)
const plans = Array.from({ length: KILLS }, (_, index) => ({
  victim: VICTIMS[index % VICTIMS.length]!,
  share: Math.floor(random() * 100) / 100,
}))

test.each(plans)(`seed ${SEED}: $victim killed when $share of the bytes are applied`, async ({ victim, share }) => {
  const at = workspace()
  const agent = start(at)
  const hit = await killIn(at, agent, victim, share)
  const ended = await endOf(at, agent, victim)
  const outcome = ended.code === 0 ? 'equal' : 'begin again'
  console.log(`seed ${SEED}: ${victim} at ${share}: ${hit ? outcome : 'apply had ended'}`)
  if (ended.code === 0) {
    await expectEqual(at, { ...ended, stderr: ended.stderr.replace(/.*note: .*killed.*/g, '') }, 'end')
    return
  }
  expect(ended.stderr).toMatch(BEGIN_AGAIN)
  expect(readFileSync(join(at.datadir, 'restore-incomplete.txt'), 'utf8')).toMatch(/transactions of the binlogs/)
})
