/**
 * The written forms of sizes, durations and deadlines. Each parser returns null for what it does not understand: the
 * schema says so in its own words, without repeating the value, which might be a secret in the wrong place.
 */

const SIZE_UNITS = { '': 0, k: 1, m: 2, g: 3, t: 4 } as const
const MS_PER_UNIT = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const LONGEST_MS = 366 * MS_PER_UNIT.d

/**
 * Bytes of `4G`, `512M`, `1.5GiB` or plain bytes, units of 1024 as the servers' own options; null unless 1 to 2^53-1.
 */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim())
  if (match === null) return null
  const power = SIZE_UNITS[match[2]!.toLowerCase() as keyof typeof SIZE_UNITS]
  const bytes = Math.floor(Number(match[1]) * 1024 ** power)
  return bytes >= 1 && Number.isSafeInteger(bytes) ? bytes : null
}

/** Milliseconds of `90s`, `5m`, `1h30m`, `2d`, `500ms`; null unless above 0 and at most 366 days. */
export function parseDuration(text: string): number | null {
  const compact = text.trim().toLowerCase().replaceAll(' ', '')
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(compact)) return null
  let totalMs = 0
  for (const [, amount, unit] of compact.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    totalMs += Number(amount) * MS_PER_UNIT[unit as keyof typeof MS_PER_UNIT]
  }
  const wholeMs = Math.round(totalMs)
  return wholeMs >= 1 && wholeMs <= LONGEST_MS ? wholeMs : null
}

/** A point in time, or a distance from the start of the restore; milliseconds. */
export type Deadline = { atMs: number } | { inMs: number }

/** `2026-11-23T06:00Z` (without a zone: this machine's) or a duration such as `6h`. */
export function parseDeadline(text: string): Deadline | null {
  const inMs = parseDuration(text)
  if (inMs !== null) return { inMs }
  if (!/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?$/i.test(text.trim())) return null
  const atMs = Date.parse(text.trim())
  return Number.isNaN(atMs) ? null : { atMs }
}

/** Unix ms of an ISO 8601 time; without a zone it is UTC. Null for anything else. */
export function parseTime(text: string): number | null {
  const [, date, clock = '00:00', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)\s?(Z|[+-]\d\d:?\d\d)?)?$/i.exec(text.trim()) ?? []
  const day = new Date(`${date}T00:00:00Z`)
  // Date takes the 30th of February for the 2nd of March.
  if (Number.isNaN(day.getTime()) || !day.toISOString().startsWith(date!)) return null
  const timeMs = Date.parse(`${date}T${clock.replace(',', '.')}${zone.toUpperCase()}`)
  return Number.isNaN(timeMs) ? null : timeMs
}
