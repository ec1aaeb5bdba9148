import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, inject, test } from 'vitest'
import type { Crash } from './agent.ts'
import { times } from './journal.ts'
import { expectNothingLeft, expectRestored, type Place, place } from './restore-dirs.ts'
import { chain, full, started } from './victims.ts'

const agentAt = (at: Crash['at']): Crash => ({ at, kills: ['agent'] })
const MID_PREPARE = agentAt(started('1-prepare', 150))

test('killed again and again, in every phase', async () => {
  const at = place()
  const ended = await at.survive({ ...full(), flags: { start_check: true, owner: 'nobody:nogroup' } }, [
    agentAt(started('1-extract', 50, 2)),
    agentAt({ event: 'run_finished', detail: '1-fetch' }),
    MID_PREPARE,
    agentAt({ event: 'tool_lines', detail: '1-prepare-1-mariadb-backup' }),
    { at: started('1-move_back', 3), kills: ['groups', 'agent'] },
    agentAt(started('1-start_check', 100)),
  ])
  await expectRestored(at, ended, 'full')
})

test('a chain killed in every element', async () => {
  const at = place()
  const ended = await at.survive(chain(), [
    MID_PREPARE,
    { at: started('2-prepare', 30), kills: ['groups', 'agent'] },
    { at: started('3-prepare', 30), kills: ['power'] },
    agentAt({ event: 'run_finished', detail: '4-prepare' }),
  ])
  await expectRestored(at, ended, 'chain')
})

test.for(['1-prepare', '2-prepare', '4-prepare', '4-move_back', '1-extract'])(
  'let go of in %s, by an agent that lives on until that has ended, a chain goes on with the next tool under the next agent',
  async run => {
    const at = place()
    const ended = await at.survive(chain(), [{ at: started(run, 0), kills: ['detach', 'agent'] }])
    await expectRestored(at, ended, 'chain')
    const journal = at.journal()
    const begun = journal.filter(({ type }) => type === 'run_begun')
    expect(new Set(begun.map(({ detail }) => detail)).size, 'something was done twice').toBe(begun.length)
    // The next element may have been begun in front, while this run waited for the disk to have its beginning.
    const [first] = journal
    const lastBegun = journal.findLastIndex(({ pid, type }) => pid === first!.pid && type === 'run_begun')
    const letGo = journal.findIndex(({ type, detail }) => type === 'tool_started' && detail === run)
    expect(lastBegun, 'a run was begun after the restore was let go of').toBeLessThan(letGo)
    expect(times(journal, 'resumed', 'adopted')).toBe(1)
  },
)

test('a fetch of the next element that is killed costs the prepare in front nothing', async () => {
  const at = place()
  const request = { sources: inject('chain').elements.map(({ zst }) => zst) }
  const ended = await at.survive(request, [{ at: started('2-extract', 0, 2), kills: ['tools'], of: '2-extract' }])
  await expectRestored(at, ended, 'chain')
  expect(times(at.journal(), 'run_begun', '1-prepare')).toBe(1)
  expect(times(at.journal(), 'run_begun', '2-extract')).toBe(2)
})

test('a tool that reads a redirected file is adopted by an agent that has no such input', async () => {
  const at = place()
  const file = inject('chain').elements[0]!.zst
  const crash = agentAt(started('1-extract', 20, 2))
  expect(await at.start({ sources: ['-'], stdin: { file } }, crash).ended).toMatchObject({ signal: 'SIGKILL' })
  await expectRestored(at, await at.start({ sources: ['-'] }).ended, 'full')
  expect(times(at.journal(), 'run_begun', '1-extract')).toBe(1)
})

test.for([null, MID_PREPARE])('of two agents that start at once one works, the other is told so (%#)', async crash => {
  const at = place()
  if (crash) expect(await at.start(full(), crash).ended).toMatchObject({ signal: 'SIGKILL' })
  const both = await Promise.all([at.start(full()).ended, at.start(full()).ended])
  const [worked, refused] = both[0].code === 0 ? both : [both[1], both[0]]
  expect(refused.code, refused.stderr).toBe(5)
  expect(refused.stderr).toMatch(/^error locked: /)
  await expectRestored(at, worked!, 'full')
})

test('another restore is refused as long as this one is not finished', async () => {
  const at = place()
  expect(await at.start(full(), MID_PREPARE).ended).toMatchObject({ signal: 'SIGKILL' })
  const other = await at.start({ sources: [inject('chain').elements[0]!.bare] }).ended
  expect(other).toMatchObject({ code: 17, stderr: expect.stringMatching(/^error unfinished: /) })
  await expectRestored(at, await at.start(full()).ended, 'full')
})

test.for<[when: string, crash: Crash]>([
  ['before a move-back', MID_PREPARE],
  ['in the instant before the first file is moved', agentAt({ event: 'cleanup', nth: 2 })],
])('a datadir that somebody else fills %s is not touched', async ([, crash]) => {
  const at = place()
  expect(await at.start(full(), crash).ended).toMatchObject({ signal: 'SIGKILL' })
  expectForeign(at)
  const ended = await at.start(full()).ended
  expect(ended, ended.stderr).toMatchObject({ code: 10 })
  expect(readdirSync(at.datadir)).toEqual(['ibdata1'])
  expect(readFileSync(join(at.datadir, 'ibdata1'), 'utf8')).toBe('somebody else')
  expect(at.state()).toMatchObject({ status: 'failed', error: { code: 'datadir_not_empty' } })
  expectNothingLeft(at)
})

test.for<Crash['kills']>([
  ['groups', 'agent'],
  ['tools', 'agent'],
])('a prepare that was killed (%s) goes on with the memory that its restore is started again with', async kills => {
  const at = place()
  const crash: Crash = { at: started('1-prepare', 150), kills }
  expect(await at.start({ ...full(), flags: { use_memory: '96M' } }, crash).ended).toMatchObject({ signal: 'SIGKILL' })
  const again = { ...full(), flags: { use_memory: '64M', parallel: '1' } }
  await expectRestored(at, await at.start(again).ended, 'full')
  expect(preparesOf(at)).toEqual(['--use-memory=100663296', '--use-memory=67108864'])
  expect(at.state().notices.join('\n')).toContain('now with use_memory 64M (was 96M), parallel 1 (was default)')
})

test('a prepare that is adopted keeps its memory, the next of the chain has the new', async () => {
  const at = place()
  expect(await at.start({ ...chain(), flags: { use_memory: '96M' } }, MID_PREPARE).ended).toMatchObject({
    signal: 'SIGKILL',
  })
  await expectRestored(at, await at.start({ ...chain(), flags: { use_memory: '48M' } }).ended, 'chain')
  expect(preparesOf(at)).toEqual([
    '--use-memory=100663296',
    ...chain()
      .sources.slice(1)
      .map(() => '--use-memory=50331648'),
  ])
  expect(at.state().notices.join('\n')).toMatch(
    /now with use_memory 48M \(was 96M\); running tools \(.*mariadb-backup.*\) keep the values that they were started with/,
  )
})

test('a fetch of the next element that is adopted is followed, also by an agent that would begin none', async () => {
  const at = place()
  const request = { sources: inject('chain').elements.map(({ zst }) => zst) }
  const crash = agentAt(started('2-extract', 0, 2))
  const first = at.start(request, crash)
  expect(await first.ended).toMatchObject({ signal: 'SIGKILL' })
  const next = at.start({ ...request, flags: { prefetch: 'off' } })
  await expectRestored(at, await next.ended, 'chain')
  const fetches = at.journal().filter(({ type }) => type === 'prefetch_started')
  expect(fetches.map(({ pid }) => pid)).toEqual([first.child.pid, next.child.pid])
  expect(times(at.journal(), 'run_begun', '2-extract')).toBe(1)
})

/** What each prepare was given, by the spans of the tools. */
const preparesOf = (at: Place): (string | undefined)[] =>
  at
    .journal()
    .flatMap(({ spans }) => spans)
    .filter(({ kind, attributes }) => kind === 'tool' && /--prepare/.test(String(attributes['process.command_args'])))
    .map(({ attributes }) => /--use-memory=\S+/.exec(String(attributes['process.command_args']))?.[0])

function expectForeign(at: Place): void {
  expect(existsSync(at.datadir)).toBe(false)
  mkdirSync(at.datadir)
  writeFileSync(join(at.datadir, 'ibdata1'), 'somebody else')
}

test('agents that die without end lead to an end', async () => {
  const at = place()
  const crash = agentAt({ event: 'run_begun', detail: '1-extract' })
  for (let agent = 1; agent <= 9; agent++)
    expect(await at.start(full(), crash).ended, `agent ${agent}`).toMatchObject({ signal: 'SIGKILL' })
  const ended = await at.start(full()).ended
  expect(ended, ended.stderr).toMatchObject({ code: 70 })
  expect(at.state()).toMatchObject({ status: 'failed', phase: 'failed', error: { code: 'interrupted' } })
  expectNothingLeft(at)
})
