import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, inject, test } from 'vitest'
import { mountTmpfs } from '../integration/workspace.ts'
import { times } from './journal.ts'
import { expectNothingLeft, expectRestored, place } from './restore-dirs.ts'
import { full, started } from './victims.ts'

const MiB = 1024 * 1024

test('a prepare that is killed is tried again with half the memory, down to what the tool needs', async () => {
  const at = place()
  const crash = { at: started('1-prepare', 150), kills: ['tools'], always: true } as const
  const ended = await at.start({ ...full(), flags: { use_memory: '96M' } }, crash).ended
  expect(ended, ended.stderr).toMatchObject({ code: 41 })
  expect(at.state()).toMatchObject({ status: 'failed', phase: 'failed_basebackup', error: { code: 'tool_killed' } })
  const journal = at.journal()
  expect(
    journal.filter(line => line.type === 'run_begun' && line.detail === '1-prepare').map(line => line.memoryBytes),
  ).toEqual([96 * MiB, 48 * MiB, 32 * MiB, 32 * MiB])
  expect(times(journal, 'attempt_started')).toBe(4)
  expect(times(journal, 'run_begun', '1-extract')).toBe(4)
  const pauses = journal
    .filter(line => line.type === 'attempt_started')
    .slice(1)
    .map(line => line.atMs - journal.findLast(({ type, atMs }) => type === 'failed_attempt' && atMs <= line.atMs)!.atMs)
  for (const [index, pauseMs] of pauses.entries()) expect(pauseMs).toBeGreaterThanOrEqual(45 * 2 ** index)
  expectNothingLeft(at)
})

test('an older backup is gone back to when the newest cannot be restored', async () => {
  const at = place()
  const damaged = join(at.dir, 'damaged')
  const bytes = readFileSync(inject('chain').elements[0]!.zst)
  const middle = Math.floor(bytes.length / 2)
  bytes.fill(0xa5, middle, middle + 100)
  writeFileSync(damaged, bytes)
  const flags = { older_backups: [full().sources] as unknown as string[] }
  const ended = await at.survive({ sources: [damaged], flags }, [
    { at: { event: 'fell_back' }, kills: ['agent'] },
    { at: started('1-prepare', 100), kills: ['groups', 'agent'] },
  ])
  expect(times(at.journal(), 'fell_back')).toBe(1)
  rmSync(damaged)
  await expectRestored(at, ended, 'full')
})

test('a full disk is final: it is not tried again, and no backup is to blame', async () => {
  const at = place()
  const small = join(at.dir, 'small')
  await mountTmpfs(small, 100 * MiB)
  const flags = { target_dir: join(small, 'target'), older_backups: [full().sources] as unknown as string[] }
  const ended = await at.start({ ...full(), flags }).ended
  expect(ended, ended.stderr).toMatchObject({ code: 40 })
  expect(at.state()).toMatchObject({ status: 'failed', phase: 'failed', failures: 0, error: { code: 'disk_full' } })
  expect(times(at.journal(), 'attempt_started')).toBe(1)
  expect(times(at.journal(), 'fell_back')).toBe(0)
  expectNothingLeft(at, ['small'])
})
