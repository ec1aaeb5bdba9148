import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readExit } from '../../src/process/tool-exit.ts'
import { scratch } from '../support/scratch.ts'

test('an exit is read from a whole status file only', () => {
  const path = join(scratch(), 'tool.status')
  const read = (content: string) => {
    writeFileSync(path, content)
    return readExit(path)
  }
  expect(readExit(path)).toBeNull()
  expect(read('0\n')).toEqual({ code: 0, signal: null })
  expect(read('137\n')).toEqual({ code: null, signal: 'SIGKILL' })
  // What a power cut leaves of a file that was renamed but not synced.
  expect(read('')).toBeNull()
  expect(read('\0\0')).toBeNull()
})
