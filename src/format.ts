/**
 * Numbers for people: short and of steady width. Percents and durations are cut, not rounded, so that 99.96 is not
 * shown as 100; unknown is `--`.
 */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** `512 B`, `52.3 GiB`; units of 1024. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (Math.abs(value) >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} ${UNITS[unit]}`
}

/** `0s`, `12s`, `2m 10s`, `1h 02m`, `3d 04h`; whole seconds, cut. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  if (minutes === 0) return `${seconds}s`
  if (hours === 0) return `${minutes}m ${two(seconds % 60)}s`
  if (hours < 24) return `${hours}h ${two(minutes % 60)}m`
  return `${Math.floor(hours / 24)}d ${two(hours % 24)}h`
}

/** Like formatDuration, without the seconds of an estimate: `45s`, `31m`, `2h 05m`. */
export function formatRoughDuration(ms: number): string {
  return ms >= 120_000 && ms < 3_600_000 ? `${Math.floor(ms / 60_000)}m` : formatDuration(ms)
}

/** `43.2 %`; `--` for unknown. */
export const formatPercent = (percent: number | null): string =>
  percent === null ? '--' : `${(Math.floor(percent * 10 + 1e-9) / 10).toFixed(percent >= 100 ? 0 : 1)} %`

/** `812`, `12.3k`, `4.5M`: counts of pages, rows, files. */
export function formatCount(count: number): string {
  if (count < 999.5) return count < 10 ? count.toFixed(1).replace(/\.0$/, '') : count.toFixed(0)
  const [value, unit] = count < 999_500 ? [count / 1000, 'k'] : [count / 1e6, 'M']
  return `${value < 99.95 ? value.toFixed(1) : value.toFixed(0)}${unit}`
}

/** `14:32` in this machine's time zone. */
export function formatClock(atMs: number): string {
  const date = new Date(atMs)
  return `${two(date.getHours())}:${two(date.getMinutes())}`
}

/** ISO time in UTC, to the second: `2026-11-23T14:32:10Z`. */
export const formatIso = (atMs: number): string =>
  new Date(Math.floor(atMs / 1000) * 1000).toISOString().replace('.000', '')

/**
 * Makes text from outside (paths, a tool's output) safe to print: control characters, escape sequences and
 * bidirectional overrides become U+FFFD, a tab a space.
 */
export const printable = (text: string): string =>
  text.replaceAll('\t', ' ').replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd')

const two = (value: number) => String(value).padStart(2, '0')

/** `a, b, c and 4 more`: the first of many names. */
export const formatFirst = (names: readonly string[], most = 5): string =>
  `${names.slice(0, most).join(', ')}${names.length > most ? ` and ${names.length - most} more` : ''}`
