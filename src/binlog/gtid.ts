/**
 * Sets of transaction ids, for both families in one form: stream -> sorted intervals of numbers.
 *
 * A MySQL stream is a source UUID; its numbers may have holes (`uuid:1-5:8`). A MariaDB stream is `domain-server`; a
 * server writes the last number of each, so the set is everything up to it (`0-1-100` means 0-1:1-100).
 */
export type GtidFamily = 'mysql' | 'mariadb'
/** Inclusive, sorted, neither overlapping nor touching. Numbers are from 1 to 2^53 - 1. */
export type Intervals = readonly (readonly [first: number, last: number])[]
export type GtidSet = ReadonlyMap<string, Intervals>

export interface Gtid {
  /** MySQL: source UUID in lower case. MariaDB: `domain-server`. */
  stream: string
  number: number
}

export const EMPTY_SET: GtidSet = new Map()

export const gtidText = ({ stream, number }: Gtid): string =>
  stream.length === 36 ? `${stream}:${number}` : `${stream}-${number}`

/** The set with one more interval. */
export function addInterval(set: Intervals, first: number, last: number): Intervals {
  const newest = set.at(-1)
  // The usual case: a transaction follows the one before it.
  if (newest === undefined || first > newest[1] + 1) return [...set, [first, last]]
  if (first === newest[1] + 1) return [...set.slice(0, -1), [newest[0], last]]
  const merged: [number, number][] = []
  for (const [a, b] of [...set, [first, last] as const].sort((x, y) => x[0] - y[0])) {
    const before = merged.at(-1)
    if (before !== undefined && a <= before[1] + 1) before[1] = Math.max(before[1], b)
    else merged.push([a, b])
  }
  return merged
}

/** A mutable set, for a reader that adds millions of transactions one by one. */
export interface GtidState {
  add(gtid: Gtid): void
  hasAll(stream: string, first: number, last: number): boolean
  /** In MariaDB, streams of one domain are in the order in which they wrote last. */
  set(): GtidSet
}

export function gtidState(family: GtidFamily, start: GtidSet): GtidState {
  const streams = new Map<string, [number, number][]>()
  for (const [stream, intervals] of start)
    streams.set(
      stream,
      intervals.map(([a, b]) => [a, b]),
    )
  let newest: string | null = null
  return {
    add({ stream, number }) {
      const known = streams.get(stream)
      if (family === 'mariadb') {
        // A stream's last number counts, even where it is smaller than the one before.
        if (stream !== newest || known === undefined) streams.delete(stream)
        streams.set(stream, [[1, number]])
        newest = stream
      } else if (known !== undefined && known.length > 0 && known.at(-1)![1] + 1 === number) known.at(-1)![1] = number
      else
        streams.set(
          stream,
          addInterval(known ?? [], number, number).map(([a, b]) => [a, b]),
        )
    },
    hasAll: (stream, first, last) => streams.get(stream)?.some(([a, b]) => a <= first && last <= b) ?? false,
    set: () => new Map([...streams].map(([stream, held]) => [stream, held.map(([a, b]) => [a, b] as const)])),
  }
}

/** Whether `whole` has every transaction of `part`. */
export function containsSet(whole: GtidSet, part: GtidSet): boolean {
  return [...part].every(([stream, intervals]) => {
    const held = whole.get(stream) ?? []
    return intervals.every(([first, last]) => held.some(([a, b]) => a <= first && last <= b))
  })
}

export const equalSets = (a: GtidSet, b: GtidSet): boolean => containsSet(a, b) && containsSet(b, a)

/** Transactions of `whole` that are not in `part`. */
export function subtractSet(whole: GtidSet, part: GtidSet): GtidSet {
  const rest = new Map<string, Intervals>()
  for (const [stream, intervals] of whole) {
    let left: [number, number][] = intervals.map(([a, b]) => [a, b])
    for (const [a, b] of part.get(stream) ?? [])
      left = left.flatMap(([x, y]): [number, number][] => {
        if (b < x || a > y) return [[x, y]]
        const kept: [number, number][] = []
        if (x < a) kept.push([x, a - 1])
        if (y > b) kept.push([b + 1, y])
        return kept
      })
    if (left.length > 0) rest.set(stream, left)
  }
  return rest
}

/**
 * As the family writes it: MySQL `uuid:1-5:8,uuid:1`; MariaDB the newest number of each stream, `0-1-100,1-2-7`, as
 * `@@gtid_binlog_state` shows it.
 */
export function formatSet(set: GtidSet, family: GtidFamily): string {
  return [...set]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([stream, intervals]) =>
      family === 'mariadb'
        ? `${stream}-${intervals.at(-1)![1]}`
        : [stream, ...intervals.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`))].join(':'),
    )
    .join(',')
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/**
 * Reads what a person or a metadata file gives. Null where it is neither family's form. The empty text is the empty set
 * of either family: `family` is null then.
 */
export function parseSet(text: string): { family: GtidFamily | null; set: GtidSet } | null {
  const parts = text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '')
  if (parts.length === 0) return { family: null, set: EMPTY_SET }
  const mariadb = parts.every(part => /^\d+-\d+-\d+$/.test(part))
  const set = new Map<string, Intervals>()
  for (const part of parts) {
    if (mariadb) {
      const [domain, server, number] = part.split('-').map(Number)
      if (!Number.isSafeInteger(number!) || domain! > 0xffffffff || server! > 0xffffffff) return null
      const stream = `${domain}-${server}`
      if (number! > 0) set.set(stream, addInterval(set.get(stream) ?? [], 1, number!))
      continue
    }
    const [uuid, ...ranges] = part
      .toLowerCase()
      .split(':')
      .map(piece => piece.trim())
    if (uuid === undefined || !UUID.test(uuid) || ranges.length === 0) return null
    for (const range of ranges) {
      const found = /^(\d+)(?:-(\d+))?$/.exec(range)
      if (found === null) return null
      const [first, last] = [Number(found[1]), Number(found[2] ?? found[1])]
      if (first < 1 || last < first || !Number.isSafeInteger(last)) return null
      set.set(uuid, addInterval(set.get(uuid) ?? [], first, last))
    }
  }
  return { family: mariadb ? 'mariadb' : 'mysql', set }
}

/**
 * MariaDB's position: of each domain, the stream that wrote last (`gtid_slave_pos` holds one GTID a domain). A MySQL
 * set stays as it is.
 */
export function positionOf(set: GtidSet, family: GtidFamily): GtidSet {
  if (family === 'mysql') return set
  const newest = new Map<string, string>()
  for (const stream of set.keys()) newest.set(stream.slice(0, stream.indexOf('-')), stream)
  return new Map([...newest.values()].map(stream => [stream, set.get(stream)!]))
}

/** How many transactions a set has: what was written later has more. */
export const sizeOf = (set: GtidSet): number =>
  [...set.values()].flat().reduce((sum, [first, last]) => sum + last - first + 1, 0)
