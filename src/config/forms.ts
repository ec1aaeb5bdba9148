import { z } from 'zod'
import { GTID, POSITION, parseGtidTarget, parsePosition } from '../binlog/target.ts'
import { PHASES, STEPS, TERMINAL_PHASES } from '../phases.ts'
import { isStdin, parseSource, SOURCE_FORMS, type SourceRef } from '../source/source-ref.ts'
import { parseDeadline, parseDuration, parseSize, parseTime } from './values.ts'

/** The forms in which a person writes values, on the command line and in YAML alike. Messages never repeat a value. */

/** What `stall_thresholds` may name: the steps, the phases that run, and `default` for the rest. */
export const STALL_THRESHOLD_NAMES: readonly string[] = [
  ...Object.values(STEPS).flat(),
  ...PHASES.filter(phase => !TERMINAL_PHASES.includes(phase)),
  'default',
]

export const text = (what: string) =>
  z
    .string({ error: `must be ${what}` })
    .min(1, { error: `must be ${what}, and is empty` })
    .refine(value => !value.includes('\0'), { error: 'must not hold a NUL byte' })
    // Node's replacement for bytes that are not UTF-8: the path would name another file.
    .refine(value => !value.includes('\ufffd'), { error: 'must be UTF-8: its name cannot be represented' })

/** A form of text that one of the parsers of values.ts reads. */
export const parsed = <T>(parse: (text: string) => T | null, what: string) =>
  z.unknown().transform((value, context) => {
    const result = typeof value === 'string' ? parse(value) : null
    if (result !== null) return result
    context.addIssue({ code: 'custom', message: `must be ${what}` })
    return z.NEVER
  })

export const flag = z.boolean({ error: 'must be true or false' })
export const path = text('a path')
export const endpoint = text('an http or https URL')
export const region = text('the name of a region')
export const paths = z.preprocess(value => (Array.isArray(value) ? value : [value]), z.array(path))
export const duration = parsed(parseDuration, 'a duration with its unit, such as 90s, 5m or 1h30m')
export const choice = <const T extends readonly [string, ...string[]]>(words: T) =>
  z.enum(words, { error: `must be one of ${words.join(', ')}` })

/** One element of the chain. */
const source = text(SOURCE_FORMS).transform((written, context): SourceRef => {
  const ref = parseSource(written)
  if (ref !== null) return ref
  context.addIssue({ code: 'custom', message: `must be ${SOURCE_FORMS}` })
  return z.NEVER
})

/** A place that holds binlogs. */
export const binlogs = source.refine(ref => !isStdin(ref), { error: 'must be a directory or a URL' })
export const targetGtid = parsed(value => (parseGtidTarget(value) === null ? null : value.replace(/\s+/g, '')), GTID)
export const targetPosition = parsed(value => (parsePosition(value) === null ? null : value), POSITION)

export const sources = z.preprocess(
  value => (Array.isArray(value) ? value : [value]),
  z.array(source).min(1, { error: 'must name at least one backup' }),
)

export const memory = z.unknown().transform((value, context): number | 'auto' => {
  if (value === 'auto') return 'auto'
  const bytes = typeof value === 'number' || typeof value === 'string' ? parseSize(String(value)) : null
  if (bytes !== null) return bytes
  context.addIssue({ code: 'custom', message: 'must be auto or a size such as 4G, 512M or plain bytes' })
  return z.NEVER
})

const parseBandwidth = (value: string) => parseSize(value.replace(/\/s$/, ''))
export const bandwidth = z.preprocess(
  value => (typeof value === 'number' ? String(value) : value),
  parsed(parseBandwidth, 'a size a second, such as 50M'),
)

const parseReserve = (value: string) => (value === '0' ? 0 : parseSize(value))
export const reserve = z.preprocess(
  value => (typeof value === 'number' ? String(value) : value),
  parsed(parseReserve, '0 or a size such as 5G'),
)

export const wholeNumber = (from: number, to: number) => {
  const error = `must be a whole number from ${from} to ${to}`
  return z.preprocess(
    value => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
    z.number({ error }).refine(count => Number.isInteger(count) && count >= from && count <= to, { error }),
  )
}

const parseOwner = (value: string) => {
  const match = /^([^:\s]+)(?::([^:\s]+))?$/.exec(value)
  return match === null ? null : { user: match[1]!, group: match[2] ?? null }
}
export const owner = parsed(parseOwner, 'USER or USER:GROUP')

export const cipher = text('the name of a cipher, such as aes-256-cbc').regex(/^[A-Za-z0-9][\w-]*$/, {
  error: 'must be the name of a cipher, such as aes-256-cbc',
})

export const deadline = parsed(parseDeadline, 'a time such as 2026-11-23T06:00Z or a duration such as 6h')

export const time = parsed(parseTime, 'a time such as 2026-11-23T06:00:00Z; without a zone it is UTC')

export const olderBackups = z.array(sources, { error: 'must be a list of backups, each a path or a list of paths' })

export const stallThresholds = z.partialRecord(z.enum(STALL_THRESHOLD_NAMES as [string, ...string[]]), duration, {
  error: 'must map steps or phases to durations, such as redo_scan: 30m',
})
