import type { ByteRange } from './http-object.ts'

/**
 * Which ranges of an object are asked for, and how many at a time.
 *
 * Windows follow each other without a gap, so that the bytes can be written in order. The number of windows grows by
 * one whenever the writer had to wait for the network, because more connections may bring more, and is halved when the
 * server asks to slow down. It never grows because the tool is slow: a window that nobody reads holds a connection for
 * nothing.
 */
export interface WindowPlan {
  /** Windows that may be open at a time. */
  limit: number
  /** The first byte that no window covers yet. */
  nextStart: number
  readonly size: number
  readonly windowBytes: number
  readonly most: number
}

export const MOST_WINDOWS = 16
export const WINDOW_BYTES = 8 << 20
const FIRST_LIMIT = 8

export const planWindows = (range: ByteRange, most = MOST_WINDOWS, windowBytes = WINDOW_BYTES): WindowPlan => ({
  limit: Math.min(FIRST_LIMIT, most),
  nextStart: range.start,
  size: range.end,
  windowBytes,
  most,
})

/** The next window, where fewer than the limit are open and bytes are left. */
export function nextWindow(plan: WindowPlan, open: number): ByteRange | null {
  const { nextStart: start, size, limit, windowBytes, most } = plan
  if (open >= limit || start >= size) return null
  // One window at most: the server cannot say a range, so there is one request for all.
  const end = most === 1 ? size : Math.min(size, start + windowBytes)
  plan.nextStart = end
  return { start, end }
}

export function afterWindow(plan: WindowPlan, waited: 'network' | 'tool'): void {
  if (waited === 'network') plan.limit = Math.min(plan.most, plan.limit + 1)
}

export function afterThrottle(plan: WindowPlan): void {
  plan.limit = Math.max(1, Math.floor(plan.limit / 2))
}

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 20_000

/**
 * The pause before a request is made again: half to all of 0.2, 0.4, 0.8 … s, at most 20 s. `failures` counts from 1.
 */
export function pauseMs(failures: number, random: () => number = Math.random): number {
  const full = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(20, failures - 1))
  return full * (0.5 + random() / 2)
}
