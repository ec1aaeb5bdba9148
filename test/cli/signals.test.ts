import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { endOnSignals } from '../../src/cli/signals.ts'
import type { RestoreError } from '../../src/errors.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function listen() {
  const heard: string[] = []
  const stop = endOnSignals(
    (reason: RestoreError) => void heard.push(`${reason.code}: ${reason.message}`),
    () => void heard.push('kill'),
    false,
  )
  return { heard, stop }
}

test.each([
  ['SIGINT', 'cancelled: cancelled by Ctrl-C'],
  ['SIGTERM', 'terminated: ended by SIGTERM'],
  ['SIGHUP', 'terminated: ended by SIGHUP'],
] as const)(
  '%s ends in order; the same once more from a launcher is no second one, a later signal of any kind kills',
  (signal, reason) => {
    const before = process.listenerCount(signal)
    const { heard, stop } = listen()
    process.emit(signal, signal)
    vi.advanceTimersByTime(100)
    process.emit(signal, signal)
    expect(heard).toEqual([reason])
    vi.advanceTimersByTime(1000)
    process.emit('SIGTERM', 'SIGTERM')
    process.emit('SIGINT', 'SIGINT')
    expect(heard).toEqual([reason, 'kill', 'kill'])
    stop()
    expect(process.listenerCount(signal)).toBe(before)
  },
)
