import { expect, test } from 'vitest'
import { errorLines, reportError } from '../../src/cli/report-error.ts'
import { RestoreError } from '../../src/errors.ts'

const { record } = new RestoreError('disk_full', 'no space left, on /data', {
  lastWords: ['[ERROR] one', 'two\x1b[2J'],
})

function reported(options?: { json?: boolean; color?: boolean }) {
  const written = { stdout: '', stderr: '' }
  const into = (name: 'stdout' | 'stderr') => ({ write: (text: string) => (written[name] += text) })
  reportError(record, { stdout: into('stdout'), stderr: into('stderr') }, options)
  return written
}

test('for people: what and where, last words indented, hint', () => {
  expect(reported()).toEqual({
    stdout: '',
    stderr: `error disk_full: no space left, on /data
  [ERROR] one
  two\ufffd[2J
hint: free space on this file system and restore again; the backup is not at fault
`,
  })
})

test('for programs: one object on stdout', () => {
  const { stdout, stderr } = reported({ json: true })
  expect(stderr).toBe('')
  expect(stdout).toMatch(/^[^\n]+\n$/)
  expect(JSON.parse(stdout)).toEqual({
    schema: 1,
    type: 'error',
    error: {
      code: 'disk_full',
      message: 'no space left, on /data',
      last_words: ['[ERROR] one', 'two\x1b[2J'],
      hint: 'free space on this file system and restore again; the backup is not at fault',
      exit_code: 40,
    },
  })
})

test('colour says nothing that words do not', () => {
  const colored = reported({ color: true }).stderr
  expect(colored).toContain('\x1b[31m')
  expect(colored.replace(/\x1b\[\d+m/g, '')).toBe(reported().stderr)
})

test('of last words what a terminal would show: no tab as a strange character, no overwritten meter, no blank line', () => {
  const lines = errorLines({ ...record, lastWords: ['', '\tat\tfile\r', ' \r\n', '10 %\r20 %\rread error', 'end'] })
  expect(lines.slice(1, -1)).toEqual(['   at file', '  read error', '  end'])
})
