import { RestoreError } from '../errors.ts'

/** One `key = value` of a metadata file and the line it began on, from 1. */
export interface KeyValue {
  value: string
  line: number
}

/** The keys of a metadata file, and the name that errors call it by. */
export interface KeyValues {
  file: string
  entries: ReadonlyMap<string, KeyValue>
}

/**
 * Reads the `key = value` lines that both tools write. A line of another shape carries on the value before it, with a
 * line feed between, because a GTID set of several servers spans lines. Blank lines do nothing.
 * Throws `backup_incomplete` for a file without a key and `source_corrupt` where text comes before the first key.
 */
export function readKeyValues(text: string, file: string): KeyValues {
  const entries = new Map<string, KeyValue>()
  let last: KeyValue | null = null
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/\r$/, '')
    const match = /^([a-z][a-z0-9_]*) =(?: (.*))?$/.exec(line)
    if (match) {
      last = { value: match[2] ?? '', line: index + 1 }
      entries.set(match[1]!, last)
    } else if (line.trim() !== '') {
      if (!last) throw new RestoreError('source_corrupt', `${file}:${index + 1} is not "key = value": ${quote(line)}`)
      last.value += `\n${line}`
    }
  }
  if (entries.size === 0) throw new RestoreError('backup_incomplete', `${file}:1 is empty`)
  return { file, entries }
}

/** The text of a key; null where the key is absent or empty. */
export function textOf({ entries }: KeyValues, key: string): string | null {
  const value = entries.get(key)?.value.trim()
  return value ? value : null
}

/** The number of a key; null where it is absent. Throws `source_corrupt` unless it is whole and below 2^53. */
export function numberOf({ file, entries }: KeyValues, key: string): number | null {
  const entry = entries.get(key)
  if (!entry) return null
  const text = entry.value.trim()
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new RestoreError('source_corrupt', `${file}:${entry.line} ${key} is not a number: ${quote(entry.value)}`)
  }
  return value
}

/** Like `textOf`, but throws `backup_incomplete` where the key is absent or empty. */
export function requiredText(values: KeyValues, key: string): string {
  return textOf(values, key) ?? missing(values, key)
}

/** Like `numberOf`, but throws `backup_incomplete` where the key is absent. */
export function requiredNumber(values: KeyValues, key: string): number {
  return numberOf(values, key) ?? missing(values, key)
}

function missing({ file, entries }: KeyValues, key: string): never {
  const lastLine = Math.max(...[...entries.values()].map(entry => entry.line))
  throw new RestoreError('backup_incomplete', `${file}:${lastLine} ends without ${key}`)
}

const quote = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
