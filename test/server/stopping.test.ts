import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { RestoreError } from '../../src/errors.ts'
import type { RestoreBody } from '../../src/server/api-schema.ts'
import { openHistory } from '../../src/server/history.ts'
import { restoreBody } from '../../src/server/restore-body.ts'
import { nameOfSource } from '../../src/source/source-ref.ts'
import { until } from '../support/until.ts'
import { sampleState } from '../telemetry/sample-state.ts'
import { fakeSessions } from './fake-sessions.ts'
import { startAgent, YAML } from './served.ts'

const terminated = () => new RestoreError('terminated', 'ended by SIGTERM')
const isOver = (promise: Promise<void>) =>
  Promise.race([promise.then(() => true), new Promise(resolve => setTimeout(resolve, 100, false))])

test('drained while idle, the agent ends at once', async () => {
  const agent = await startAgent()
  expect((await agent.call('POST', '/drain')).body).toEqual({ draining: true, restore_id: null })
  await agent.served.ended
  await expect(fetch(`${agent.url()}/healthz`)).rejects.toThrow()
})

test('drained during a restore, it answers until that has ended', async () => {
  const agent = await startAgent()
  const session = await agent.start()
  for (let again = 0; again < 2; again++)
    expect((await agent.call('POST', '/drain')).body).toEqual({ draining: true, restore_id: 'restore-1' })
  expect(await isOver(agent.served.ended)).toBe(false)
  expect((await agent.call('GET', '/status')).body.agent.draining).toBe(true)
  session.end()
  await agent.served.ended
  expect(readFileSync(join(agent.folder, 'state/restores.json'), 'utf8')).toContain('"succeeded"')
})

test('SIGTERM detaches: the restore is let go of, and is not over', async () => {
  const agent = await startAgent()
  const session = await agent.start()
  agent.served.stop(terminated())
  await agent.served.ended
  expect([session.detached, session.store.state.status]).toEqual([true, 'running'])
  expect(agent.log.at(-1)).toBe('info end: ended by SIGTERM: restore restore-1 goes on without us, for the next agent')
})

const LATER_MS = 600

test('a second SIGTERM during a detach leaves the tools alone that were let go of', async () => {
  const agent = await startAgent(`${YAML}hooks: {phase_change: [{command: [sleep, '60']}]}\n`)
  const session = await agent.start()
  session.goTo('preparing_backup')
  agent.served.stop(terminated())
  await sleep(LATER_MS)
  agent.served.stop(terminated())
  expect(await isOver(agent.served.ended)).toBe(false)
  await agent.served.ended
  expect([session.detached, session.killed]).toEqual([true, false])
})

test('a restore that is being cancelled is ended before a SIGTERM is obeyed, not left to be gone on with', async () => {
  const agent = await startAgent()
  const session = await agent.start()
  session.abort = () => {}
  expect((await agent.call('DELETE', '/restore')).status).toBe(202)
  agent.served.stop(terminated())
  expect(await isOver(agent.served.ended)).toBe(false)
  session.end(new RestoreError('cancelled', 'cancelled by DELETE /restore'))
  await agent.served.ended
  expect(session.detached).toBe(false)
  expect(agent.log.at(-1)).toBe('info end: ended by SIGTERM')
})

test('nobody is told that a restore is cancelled which was let go of', async () => {
  const agent = await startAgent(`${YAML}hooks: {phase_change: [{command: [sleep, '1']}]}\n`)
  const session = await agent.start()
  let open: boolean | null = null
  session.detach = async () => {
    session.detached = true
    open = await fetch(`${agent.url()}/healthz`).then(
      () => true,
      () => false,
    )
  }
  agent.served.stop(terminated())
  await agent.served.ended
  expect([session.detached, open]).toEqual([true, false])
})

test('on_term: cancel ends the restore first; a second signal kills its tools, the same one again does not', async () => {
  const agent = await startAgent(`${YAML}on_term: cancel\n`)
  const session = await agent.start()
  session.abort = () => {}
  agent.served.stop(terminated())
  expect(await isOver(agent.served.ended)).toBe(false)
  expect(session.killed).toBe(false)
  agent.served.stop(terminated())
  expect(session.killed).toBe(false)
  await sleep(LATER_MS)
  agent.served.stop(terminated())
  expect(session.killed).toBe(true)
  session.end(terminated())
  await agent.served.ended
  expect([session.detached, session.store.state.error?.code]).toEqual([false, 'terminated'])
})

test('a flag wins over the configuration', async () => {
  const agent = await startAgent(`${YAML}on_term: cancel\n`)
  const session = await agent.start()
  agent.served.stop(terminated(), 'detach')
  await agent.served.ended
  expect(session.detached).toBe(true)
})

test('cancelled before its session is there, a restore is ended as soon as it is', async () => {
  const agent = await startAgent(`${YAML}on_term: cancel\n`)
  let letGo = () => {}
  agent.fake.hold = new Promise(resolve => {
    letGo = resolve
  })
  const asked = agent.call('POST', '/restore', { json: { backup: 'chain' } })
  await until(async () => (await agent.call('POST', '/restore', { json: { backup: 'chain' } })).status === 409)
  agent.served.stop(terminated())
  letGo()
  await asked.catch(() => {})
  await agent.served.ended
  expect(agent.fake.sessions[0]!.store.state.error?.code).toBe('terminated')
})

test('an interrupted restore is gone on with at the start, under its name', async () => {
  const first = await startAgent()
  const { options } = await first.start('full')
  const fake = fakeSessions()
  fake.interrupted = options
  const yaml = YAML.replaceAll('full.xb', join(first.folder, 'full.xb'))
    .replace('datadir: data', `datadir: ${first.folder}/data`)
    .replace('state_dir: state', `state_dir: ${first.folder}/state`)
  const next = await startAgent(yaml, { fake })
  const { restore } = (await next.call('GET', '/status')).body
  expect(restore).toMatchObject({ restore_id: 'restore-1', backup: 'full', status: 'running' })
  expect(next.log).toContain('info restore: resumes restore-1')
  expect((await next.call('POST', '/restore', { json: { backup: 'chain' } })).status).toBe(409)
  fake.sessions[0]!.end()
  await until(async () => (await next.call('GET', '/restores')).body.restores[0]?.status === 'succeeded')
})

test('it is gone on with as the configuration says now, where that still names it, and once', async () => {
  const first = await startAgent()
  const { options } = await first.start('full')
  const absolute = YAML.replaceAll('full.xb', nameOfSource(options.sources[0]!))
    .replace('datadir: data', `datadir: ${options.datadir}`)
    .replace('state_dir: state', `state_dir: ${options.stateDir}`)
  const resumedWith = async (yaml: string) => {
    const fake = fakeSessions()
    fake.interrupted = options
    await startAgent(yaml, { fake })
    return fake.sessions[0]!.options
  }
  const full = `{name: full, source: ${nameOfSource(options.sources[0]!)}`
  expect(await resumedWith(absolute.replace(full, `${full}, use_memory: 2G`))).toMatchObject({ memory: 2 ** 31 })
  expect(await resumedWith(absolute.replace(full, '{name: full, source: /another'))).toBe(options)
  const twice = absolute.replace(`- ${full}}`, `- ${full}}\n  - ${full.replace('full', 'again')}, use_memory: 2G}`)
  expect(await resumedWith(twice)).toBe(options)
})

test('an agent that cannot go on with what it found does not start', async () => {
  const fake = fakeSessions()
  fake.refuseWith = new RestoreError('state_unreadable', 'state.json is of a newer version')
  const log: string[] = []
  await expect(
    startAgent(YAML, { fake, log: (_level, event, message) => log.push(`${event}: ${message}`) }),
  ).rejects.toMatchObject({ code: 'state_unreadable' })
  const url = log.find(line => line.startsWith('listen'))!.replace('listen: on ', '')
  await expect(fetch(`${url}/healthz`)).rejects.toThrow()
})

const folderOf = () => {
  const folder = mkdtempSync(join(tmpdir(), 'ra-history-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}
const ended = (restoreId: string): RestoreBody =>
  restoreBody(sampleState({ restoreId, status: 'succeeded', phase: 'completed' }), { backup: 'b' })
const fail = (text: string) => {
  throw new Error(text)
}

test('history: the newest first, bounded, each once, and found again', () => {
  const folder = folderOf()
  const history = openHistory(folder, 3, fail)
  for (const id of ['1', '2', '3', '4', '4']) history.add(ended(id))
  expect(history.entries.map(({ restore_id }) => restore_id)).toEqual(['4', '3', '2'])
  history.keep(2)
  const again = openHistory(folder, 2, fail)
  expect(again.entries).toEqual(history.entries)
  expect(again.last).toEqual(ended('4'))
  expect(readdirSync(folder)).toEqual(['restores.json'])
})

test.each(['', '{', '[]', '{"schema":2,"restores":[],"last":null}', '{"schema":1,"restores":[{}],"last":null}', '\0'])(
  'history: the damaged file %j is put aside, and another one begun',
  text => {
    const folder = folderOf()
    writeFileSync(join(folder, 'restores.json'), text)
    const warnings: string[] = []
    const history = openHistory(folder, 3, warning => warnings.push(warning))
    expect([history.entries, warnings.length]).toEqual([[], 1])
    history.add(ended('1'))
    expect(readdirSync(folder)).toEqual(['restores.json', 'restores.json.unreadable'])
    expect(openHistory(folder, 3, fail).entries).toHaveLength(1)
  },
)

const ID = (n: number) => `2026112320153${n}-0ee1b${n}`

test('history: who falls out of it takes its run dir along, and nothing else in the state dir goes', async () => {
  const folder = folderOf()
  const history = openHistory(folder, 3, fail)
  for (const n of [1, 2, 3, 4, 5]) {
    mkdirSync(join(folder, ID(n), 'backup/1'), { recursive: true })
    history.add(ended(ID(n)))
  }
  for (const name of ['locks', '20261123201536-0ee1b6']) mkdirSync(join(folder, name)) // never in the history
  history.add(ended('locks'))
  history.keep(2)
  await history.settled()
  const left = [ID(5), '20261123201536-0ee1b6', 'locks', 'restores.json']
  expect(readdirSync(folder).sort()).toEqual(left.sort())
  history.add(ended('../x'))
  history.keep(1)
  await history.settled()
  expect(readdirSync(folder)).toContain('locks')
})

test('history: a run dir that an agent had no time to remove is removed by the next', async () => {
  const folder = folderOf()
  const history = openHistory(folder, 1, fail)
  for (const n of [1, 2]) {
    mkdirSync(join(folder, ID(n)))
    history.add(ended(ID(n)))
  }
  const file = readFileSync(join(folder, 'restores.json'), 'utf8')
  await history.settled()
  expect(readFileSync(join(folder, 'restores.json'), 'utf8')).not.toBe(file)
  // As if the process had ended in between.
  writeFileSync(join(folder, 'restores.json'), file)
  mkdirSync(join(folder, ID(1)))
  const next = openHistory(folder, 1, fail)
  await next.settled()
  expect(next.entries.map(({ restore_id }) => restore_id)).toEqual([ID(2)])
  expect(readdirSync(folder).sort()).toEqual([ID(2), 'restores.json'])
})

test('history: what cannot be written is told, and kept in memory', () => {
  const folder = folderOf()
  mkdirSync(join(folder, 'restores.json.tmp'))
  const warnings: string[] = []
  const history = openHistory(folder, 3, warning => warnings.push(warning))
  history.add(ended('1'))
  expect([history.entries.length, warnings.length]).toEqual([1, 1])
})
