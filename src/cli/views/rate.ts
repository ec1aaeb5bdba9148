import { formatBytes, formatCount } from '../../format.ts'

/**
 * A rate from the readings of one growing counter: the slope between the oldest and the newest change within a minute.
 * Only changes count, because tools report in bursts (mariadb-backup every 15 s).
 */
export interface Readings {
  /** Names the step; readings of another step are dropped. */
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
/** After so long without a change the rate is unknown. */
const STALE_MS = 30_000

export const noReadings: Readings = { key: '', points: [] }

/** Adds a reading. Another key or a lower value starts anew. */
export function addReading(readings: Readings, key: string, atMs: number, value: number | null): Readings {
  const last = readings.points.at(-1)
  if (value === null) return readings.key === key ? readings : { key, points: [] }
  if (readings.key !== key || last === undefined || value < last.value) return { key, points: [{ atMs, value }] }
  if (value === last.value || atMs - last.atMs < SPACING_MS) return readings
  return { key, points: [...readings.points.filter(point => atMs - point.atMs <= WINDOW_MS), { atMs, value }] }
}

/** Per second; null while unknown. */
export function rateOf({ points }: Readings, nowMs: number): number | null {
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
