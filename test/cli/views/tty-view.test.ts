import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createView } from '../../../src/cli/view.ts'
import type { View } from '../../../src/cli/views/output.ts'
import type { RestoreState } from '../../../src/restore/state/state.ts'
import { bodyOf, preparing, T0 } from './sample-state.ts'
import { VirtualTerminal } from './virtual-terminal.ts'

let terminal: VirtualTerminal
let view: View

beforeEach(() => {
  vi.useFakeTimers({ now: T0 })
  terminal = new VirtualTerminal(80, 24)
  view = createView({ kind: 'tty', color: false, unicode: true, stdout: terminal, stderr: terminal })
})
afterEach(() => {
  view.close()
  vi.useRealTimers()
})

const show = (state: RestoreState) => view.show(bodyOf(state))
/** As it is now. */
const preparingNow = (changes: Parameters<typeof preparing>[0] = {}) =>
  preparing({ phaseStartedAtMs: T0, updatedAtMs: Date.now(), ...changes })

test('time goes on when nothing comes, and percent does not', () => {
  show(preparingNow({ progress: { phasePercent: 12.5 } }))
  expect(terminal.text.at(-1)).toBe(' ━────────────  12.5 %  redo scan  moved 0s ago')
  vi.advanceTimersByTime(5_000)
  expect(terminal.text.at(-1)).toContain('12.5 %  redo scan  moved 5s ago')
  expect(terminal.text).toContain(' ▸ prepare         5s')
})

test('a terminal that says it has 0 columns and rows counts as one of 80 and 24', () => {
  const unsized = new VirtualTerminal(80, 24)
  const said: string[] = []
  const stream = new Proxy(unsized, {
    get: (target, key) => {
      if (key === 'columns' || key === 'rows') return 0
      if (key === 'write') return (text: string) => said.push(text)
      return Reflect.get(target, key)
    },
  })
  const view = createView({ kind: 'tty', color: false, unicode: true, stdout: stream, stderr: stream })
  const show = (state: RestoreState) => view.show(bodyOf(state))
  show(preparingNow({ progress: { phasePercent: 12.5 } }))
  show(preparingNow({ notices: ['paints all anew'] }))
  vi.advanceTimersByTime(1_000)
  view.close()
  expect(said.join('')).not.toContain('Infinity')
  expect(said.join('')).toContain('12.5 %  redo scan')
})

test('ten thousand states in a second are at most ten paints, the last one among them', () => {
  show(preparingNow())
  const before = terminal.writes.length
  for (let i = 1; i <= 10_000; i++) {
    show(preparingNow({ progress: { phasePercent: i / 200 } }))
    if (i % 10 === 0) vi.advanceTimersByTime(1)
  }
  vi.advanceTimersByTime(100)
  expect(terminal.writes.length - before).toBeGreaterThan(5)
  expect(terminal.writes.length - before).toBeLessThanOrEqual(12)
  expect(terminal.text.at(-1)).toContain('50.0 %')
})

test('a repaint writes only the lines that changed', () => {
  show(preparingNow({ progress: { phasePercent: 1 } }))
  vi.advanceTimersByTime(100)
  const whole = terminal.bytesWritten
  show(preparingNow({ progress: { phasePercent: 2 } }))
  vi.advanceTimersByTime(100)
  expect(terminal.bytesWritten - whole).toBeLessThan(100)
})

test('notices stay above, once', () => {
  show(preparingNow({ notices: ['the size is unknown'] }))
  show(preparingNow({ notices: ['the size is unknown', 'another \x1b[2J'] }))
  vi.advanceTimersByTime(3_000)
  expect(terminal.text.slice(0, 3)).toEqual([
    'note: the size is unknown',
    'note: another \ufffd[2J',
    'restore → /var/lib/mysql · 3s',
  ])
})

test('a resize in the middle leaves one whole frame', () => {
  terminal.write('$ restore-agent restore\n')
  show(preparingNow({ progress: { phasePercent: 50, restorePercent: 20 } }))
  for (const columns of [40, 20, 120, 25, 80]) {
    terminal.resize(columns)
    vi.advanceTimersByTime(200)
    expect(terminal.text.filter(line => line.includes('50.0 %'))).toHaveLength(1)
    expect(terminal.text.filter(line => line.includes('prepare'))).toHaveLength(1)
    // It is longer than 20 columns and wraps there.
    if (columns > 30) expect(terminal.text[0]).toBe('$ restore-agent restore')
  }
})

test('the cursor is hidden while it runs, and back at the end, with the list and the summary', () => {
  show(preparingNow())
  expect(terminal.cursorVisible).toBe(false)
  vi.advanceTimersByTime(90_000)
  const binlog = { file: 'binlog.000042', position: 1234, gtid: '0-1-99' }
  const elements = [{ name: '/b/full', description: { kind: 'full', storedBytes: 9, binlog } }]
  const plan = { ...preparing().plan!, elements } as unknown as RestoreState['plan']
  show(preparingNow({ plan, status: 'succeeded', phase: 'completed' }))
  view.close()
  expect(terminal.cursorVisible).toBe(true)
  expect(terminal.text).toEqual([
    'restore → /var/lib/mysql · 1m 30s',
    ' ✓ inspect',
    ' ✓ extract',
    ' ✓ prepare     1m 30s',
    ' ✓ finalize',
    '',
    'restored /var/lib/mysql in 1m 30s',
    '  phases    prepare 1m 30s',
    '  binlog    binlog.000042 position 1234',
    '  gtid      0-1-99',
    '  run dir   /var/lib/restore-agent/0192-r1',
    '  trace     4bf92f3577b34da6a3ce929d0e0e4736',
  ])
  const bytes = terminal.bytesWritten
  view.close()
  show(preparingNow())
  vi.advanceTimersByTime(5_000)
  expect(terminal.bytesWritten).toBe(bytes)
})

test('the view keeps no process alive and leaves no listener', () => {
  const listeners = process.listenerCount('exit')
  view.close()
  expect(process.listenerCount('exit')).toBe(listeners - 1)
  expect(terminal.listenerCount('resize')).toBe(0)
  expect(vi.getTimerCount()).toBe(0)
})

test('a terminal that takes nothing is not given more', () => {
  show(preparingNow())
  terminal.writableLength = 100
  const before = terminal.writes.length
  show(preparingNow({ progress: { phasePercent: 70 } }))
  vi.advanceTimersByTime(10_000)
  expect(terminal.writes).toHaveLength(before)
  terminal.writableLength = 0
  vi.advanceTimersByTime(1_000)
  expect(terminal.text.at(-1)).toContain('70.0 %')
})

test('a stream that breaks silences the view, and nothing else', () => {
  show(preparingNow())
  terminal.emit('error', new Error('EIO'))
  const before = terminal.writes.length
  show(preparingNow({ phase: 'finalizing' }))
  vi.advanceTimersByTime(5_000)
  view.close()
  expect(terminal.writes).toHaveLength(before)
})
