import { expect, test } from 'vitest'
import { chooseView, createView, type ViewCircumstances } from '../../src/cli/view.ts'
import { bodyOf, sampleState } from './views/sample-state.ts'
import { VirtualTerminal } from './views/virtual-terminal.ts'

const choose = (changes: Partial<ViewCircumstances> = {}) =>
  chooseView({
    stderrIsTty: true,
    json: false,
    quiet: false,
    noColor: false,
    env: { TERM: 'xterm', LANG: 'C.UTF-8' },
    ...changes,
  })

test.each([
  [{}, { kind: 'tty', color: true, unicode: true }],
  [{ stderrIsTty: false }, { kind: 'plain', color: false, unicode: true }],
  [{ env: { TERM: 'dumb' } }, { kind: 'plain', color: false, unicode: true }],
  [
    { json: true, quiet: true },
    { kind: 'json', color: true, unicode: true },
  ],
  [{ quiet: true }, { kind: 'quiet', color: true, unicode: true }],
  [{ noColor: true }, { kind: 'tty', color: false, unicode: true }],
  [{ env: { TERM: 'xterm', NO_COLOR: '1' } }, { kind: 'tty', color: false, unicode: true }],
  [{ env: { TERM: 'xterm', NO_COLOR: '' } }, { kind: 'tty', color: true, unicode: true }],
  [{ env: { TERM: 'xterm', LANG: 'C' } }, { kind: 'tty', color: true, unicode: false }],
  [{ env: { TERM: 'xterm', LC_ALL: 'C', LANG: 'de_DE.UTF-8' } }, { kind: 'tty', color: true, unicode: false }],
  [{ env: { TERM: 'linux', LANG: 'C.UTF-8' } }, { kind: 'tty', color: true, unicode: false }],
])('%j', (circumstances, expected) => {
  expect(choose(circumstances as Partial<ViewCircumstances>)).toEqual(expected)
})

test('quiet says nothing, also at the end', () => {
  const terminal = new VirtualTerminal(80, 24)
  const view = createView({ kind: 'quiet', color: false, unicode: true, stdout: terminal, stderr: terminal })
  view.show(bodyOf(sampleState({ status: 'succeeded' })))
  view.close()
  expect(terminal.writes).toEqual([])
})
