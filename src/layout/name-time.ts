const DASHED = /(?<!\d)(\d{4})-(\d\d)-(\d\d)[T_ -](\d\d)[:-](\d\d)[:-](\d\d)(?!\d)/
const COMPACT = /(?<!\d)(\d{4})(\d\d)(\d\d)[T_-]?(\d\d)(\d\d)(\d\d)(?!\d)/

/** The date and time in a name, read as UTC, in Unix ms; null where it has none that a calendar knows. */
export function timeInName(name: string): number | null {
  const found = DASHED.exec(name) ?? COMPACT.exec(name)
  if (found === null) return null
  const [year, month, day, hour, minute, second] = found.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const timeMs = Date.UTC(year, month - 1, day, hour, minute, second)
  const date = new Date(timeMs)
  const isReal =
    date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60
  return isReal ? timeMs : null
}
