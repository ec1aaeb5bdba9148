import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bootId } from '../../../src/process/proc-stat.ts'
import { differenceOf, judgeApply, refuseAfterReboot, xaId } from '../../../src/restore/steps/apply-binlogs.ts'
import { scratch } from '../../support/scratch.ts'
import { stepContext } from '../../support/step-context.ts'

describe('what the server has after apply is compared with the plan', () => {
  const plan = {
    stop: { file: 'bin.000004', position: 900, gtid: '0-1-40,2-1-7' },
    xaPrepared: ["X'67',X'62',1"],
    xaEnded: ["X'68',X'',1"],
  }
  const prepared = ["X'67',X'62',1"]

  test.each([
    ['the same', '0-1-40,2-1-7', prepared, null],
    [
      'the same in another order, and an XA transaction of the backup',
      '2-1-7,0-1-40',
      [...prepared, "X'69',X'',1"],
      null,
    ],
    ['one transaction less', '0-1-39,2-1-7', prepared, /0-1-39.*0-1-40/],
    ['one transaction more', '0-1-41,2-1-7', prepared, /0-1-41/],
    ['a domain less', '0-1-40', prepared, /2-1-7/],
    ['nothing', '', prepared, /\(empty\)/],
    ['an XA transaction less', '0-1-40,2-1-7', [], /not prepared.*X'67'/],
    ['an XA transaction that had ended', '0-1-40,2-1-7', [...prepared, "X'68',X'',1"], /still prepared.*X'68'/],
  ] as const)('%s', (_, gtid, xa, problem) => {
    const difference = differenceOf(plan, gtid, xa)
    if (problem === null) expect(difference).toBeNull()
    else expect(difference).toMatch(problem)
  })
})

describe('how the server that applies has ended', () => {
  const ended = (
    exit: { code: number | null; signal: NodeJS.Signals | null },
    ...failures: { code: string; text: string }[]
  ) => [{ program: 'mariadbd', exit, failures, complaints: [], saidCompletedOk: false, lastWords: [] }] as never
  const EXITED = { code: 0, signal: null }

  test.each([
    ['in order, with all applied', ended(EXITED), true, null],
    ['in order, before all was applied', ended(EXITED), false, 'tool_killed'],
    ['killed after all was applied', ended({ code: null, signal: 'SIGKILL' }), true, 'tool_killed'],
    [
      'by a transaction',
      ended(EXITED, { code: 'binlog_apply_failed', text: 'Error 1062' }),
      false,
      'binlog_apply_failed',
    ],
    ['by a full disk', ended({ code: 1, signal: null }, { code: 'disk_full', text: 'No space' }), false, 'disk_full'],
    ['by itself', ended({ code: 1, signal: null }, { code: 'server_failed', text: 'InnoDB' }), false, 'server_failed'],
  ] as const)('%s', (_, results, reached, code) => {
    expect(judgeApply(results, { reached, position: null })?.code ?? null).toBe(code)
  })
})

test.each([
  ["1\t1\t1\t'g','b',1", "X'67',X'62',1"],
  ["1\t3\t0\t'a'b','',1", "X'612762',X'',1"], // a quote in it is printed as it is
  ["7\t2\t2\tX'00ff',X'6200',7", "X'00ff',X'6200',7"],
])('a row of XA RECOVER: %s', (row, id) => {
  expect(xaId(row)).toBe(id)
})

describe('after a reboot', () => {
  const applying = (kinds: readonly ('apply' | 'final_sync')[], boot: string | null) => {
    const runDir = scratch()
    const { context, store } = stepContext(runDir, 'applying_binlogs')
    for (const kind of kinds) store.dispatch({ type: 'run_begun', atMs: 1, run: { element: 1, kind } })
    if (kinds.includes('final_sync'))
      store.dispatch({ type: 'run_finished', atMs: 1, run: { element: 1, kind: 'final_sync' } })
    if (boot !== null) writeFileSync(join(runDir, 'apply-boot-id'), boot)
    return () => refuseAfterReboot(context)
  }

  test.each([
    ['an apply of another boot', ['apply'], 'another'],
    ['an apply of a boot that is not known', ['apply'], null],
  ] as const)('%s is not continued', (_, kinds, boot) => {
    expect(applying(kinds, boot)).toThrow(expect.objectContaining({ code: 'binlog_apply_failed' }))
  })

  test.each([
    ['no apply', [], null],
    ['an apply of this boot', ['apply'], bootId()],
    ['an apply of another boot whose data were synced', ['apply', 'final_sync'], 'another'],
  ] as const)('%s is', (_, kinds, boot) => {
    expect(applying(kinds, boot)).not.toThrow()
  })
})
