import { expect, test } from 'vitest'
import { numberAfter, numberAt, parseToolLine } from '../../src/tool/tool-line.ts'

test.each([
  ['2026-01-15T03:00:00.000000-00:00 0 [Note] [MY-011825] [Xtrabackup] text', 'note'],
  ['2026-01-15T03:00:00.000000+08:00 12 [Warning] [MY-011959] [InnoDB] text', 'warning'],
  ['2026-01-15T03:00:00.000000Z 1 [ERROR] [MY-012644] [InnoDB] text', 'error'],
  ['[00] 2026-11-23 06:11:09 text', 'note'],
  ['[00] 2026-11-23 06:11:09 mariabackup: text', 'note'],
  ['[00] 2026-11-23 06:11:09 Error: text', 'error'],
  ['[00] 2026-11-23 06:11:09 error: text', 'error'],
  ['[00] FATAL ERROR: 2026-11-23 06:14:50 text', 'error'],
  ['2026-11-23  6:11:09 0 [Note] InnoDB: text', 'note'],
  ['2026-11-23  6:11:09 0 [ERROR] InnoDB: text', 'error'],
  ['2026-11-23 06:30:55 0x7fa0104af880  InnoDB: text', 'note'],
  ['190822 17:47:29 text', 'note'],
  ['190822 17:47:29 [01] text', 'note'],
  ['InnoDB: text', 'note'],
  ['xtrabackup: Error: text', 'error'],
  ['mariadb-backup: Warning: text', 'warning'],
  ['\x07mbstream: text', 'note'],
  ['text', 'note'],
] as const)('%j', (line, level) => expect(parseToolLine(line)).toEqual({ text: 'text', level }))

test('a number that begins a text is no prefix', () => {
  const line = '1 transaction(s) which must be rolled back or cleaned up in total 5 row operations to undo'
  expect(parseToolLine(`InnoDB: ${line}`).text).toBe(line)
  expect(parseToolLine(line).text).toBe(line)
  expect(parseToolLine('10%').text).toBe('10%')
})

test('numbers', () => {
  expect(numberAt('lsn 811605143155)', 4)).toBe(811605143155)
  expect(numberAt('lsn', 3)).toBe(-1)
  expect(numberAfter('a=1 b=22', 'b=')).toBe(22)
  expect(numberAfter('a=1', 'b=')).toBe(-1)
})
