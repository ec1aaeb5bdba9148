import { formatBytes, formatCount } from '../../format.ts'

/**
 * A rate from the changes of one growing number: the slope from the oldest to the newest change within a minute. Only
 * changes count, since tools speak in bursts (mariadb-backup every 15 s) and time alone proves nothing.
 */
export interface Meter {
  key: string
  points: readonly { atMs: number; value: number }[]
}

export interface Rate {
  perSecond: number
  unit: 'bytes' | 'redo bytes' | 'rows' | 'files'
}

const WINDOW_MS = 60_000
const SPACING_MS = 500
const SHORTEST_SPAN_MS = 1_000
/** After this without a change the rate is history. */
const STALE_MS = 30_000

export const newMeter: Meter = { key: '', points: [] }

/** Takes a reading; another key (another step) or a value that went back begins anew. */
export function measure(meter: Meter, key: string, atMs: number, value: number | null): Meter {
  const last = meter.points.at(-1)
  if (value === null) return meter.key === key ? meter : { key, points: [] }
  if (meter.key !== key || last === undefined || value < last.value) return { key, points: [{ atMs, value }] }
  if (value === last.value || atMs - last.atMs < SPACING_MS) return meter
  return { key, points: [...meter.points.filter(point => atMs - point.atMs <= WINDOW_MS), { atMs, value }] }
}

export function rateOf({ points }: Meter, nowMs: number): number | null {
  const first = points[0]
  const last = points.at(-1)
  if (first === undefined || last === undefined) return null
  if (last.atMs - first.atMs < SHORTEST_SPAN_MS || nowMs - last.atMs > STALE_MS) return null
  return ((last.value - first.value) * 1000) / (last.atMs - first.atMs)
}

export function formatRate({ perSecond, unit }: Rate): string {
  if (unit === 'bytes') return `${formatBytes(perSecond)}/s`
  if (unit === 'redo bytes') return `${formatBytes(perSecond)}/s redo`
  return `${formatCount(perSecond)} ${unit}/s`
}
