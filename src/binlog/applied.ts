/**
 * How far a server of MariaDB has applied its relay logs. It writes the position behind the last transaction to
 * relay-log.info with each commit; from the relay logs up to there come the number of transactions and the time of the
 * last commit. A huge transaction holds the position until it commits.
 */
import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { RELAY_LOG_INFO } from '../tool/server-command.ts'
import { formatSet, gtidState, parseSet, positionOf } from './gtid.ts'
import { type BinlogReader, createBinlogReader, type Group } from './reader.ts'
import type { RecoveryPlan } from './recovery-plan.ts'
import { type PlannedBinlogs, type RelayBorder, relayLogPath } from './relay-logs.ts'

/** Of the whole plan, whichever agent applied it. */
export interface Applied {
  bytes: number
  transactions: number
  /** Unix ms of the commit last applied; null before the first. */
  dataAsOfMs: number | null
}

/** Index of the planned file, and offset in it; null where the server has not written it yet. */
export function readRelayLogInfo(relayDir: string): { index: number; position: number } | null {
  let lines: string[]
  try {
    lines = readFileSync(join(relayDir, RELAY_LOG_INFO), 'latin1').split('\n')
  } catch {
    return null // not yet there
  }
  // The first line is the number of lines.
  const number = Number(/\.(\d{6,})$/.exec(lines[1] ?? '')?.[1])
  const position = Number.parseInt(lines[2] ?? '', 10)
  return number > 0 && position >= 0 ? { index: number - 1, position } : null
}

/** Follows one apply; `look` gives null until the server has told a position. */
export function followApplied({ files }: PlannedBinlogs, relayDir: string): { look(): Promise<Applied | null> } {
  let current = -1
  let reader: BinlogReader
  let readTo = 0
  let transactions = 0
  let dataAsOfMs: number | null = null

  const begin = (index: number) => {
    const { from } = files[index]!
    current = index
    readTo = 0
    transactions = files.slice(0, index).reduce((sum, file) => sum + file.transactions, 0)
    dataAsOfMs = files.slice(0, index).findLast(file => file.lastCommitAtMs !== null)?.lastCommitAtMs ?? null
    reader = createBinlogReader(({ start, committedAtMs }) => {
      if (start < from) return
      transactions += 1
      dataAsOfMs = committedAtMs
    })
  }

  return {
    async look() {
      const at = readRelayLogInfo(relayDir)
      if (at === null) return null
      // Behind the planned files is only the end.
      const index = Math.min(at.index, files.length - 1)
      const { from, to } = files[index]!
      const position = at.index > index ? to : Math.min(Math.max(at.position, from), to)
      if (index !== current) begin(index)
      if (position > readTo) await readPart(relayLogPath(relayDir, index), readTo, position, reader)
      readTo = Math.max(readTo, position)
      const before = files.slice(0, index).reduce((sum, file) => sum + file.to - file.from, 0)
      return { bytes: before + position - from, transactions, dataAsOfMs }
    },
  }
}

async function readPart(path: string, start: number, end: number, reader: BinlogReader): Promise<void> {
  const file = await open(path)
  try {
    for await (const chunk of file.createReadStream({
      start,
      end: end - 1,
      autoClose: false,
      highWaterMark: 1024 * 1024,
    }))
      reader.push(chunk as Buffer)
  } finally {
    await file.close()
  }
}

/**
 * The border at which the server has exactly `gtid`, its gtid_slave_pos, from the plan's start on: where an apply that
 * was cut short goes on. The position in relay-log.info may be older than the data; gtid_slave_pos changes within each
 * transaction. Null where there is no such border.
 */
export async function findApplied(
  plan: PlannedBinlogs & { readonly start: Readonly<RecoveryPlan['start']> },
  relayDir: string,
  gtid: string,
): Promise<RelayBorder | null> {
  const wanted = positionText(gtid)
  if (wanted === positionText(plan.start.gtid ?? ''))
    return { index: 0, position: plan.files[0]!.from, gtid: plan.start.gtid }
  const state = gtidState('mariadb', parseSet(plan.start.gtid ?? '')!.set)
  // Only the domains' last numbers tell; a set for each of millions of transactions would take too long.
  const last = new Set(wanted.split(','))
  for (const [index, file] of plan.files.entries()) {
    let found: Group | null = null
    const reader = createBinlogReader(group => {
      if (found !== null || group.start < file.from || group.end > file.to || group.gtid === null) return
      state.add(group.gtid)
      if (!last.has(`${group.gtid.stream}-${group.gtid.number}`)) return
      if (formatSet(positionOf(state.set(), 'mariadb'), 'mariadb') === wanted) found = group
    })
    const handle = await open(relayLogPath(relayDir, index))
    try {
      for await (const chunk of handle.createReadStream({ autoClose: false, highWaterMark: 1024 * 1024 })) {
        reader.push(chunk as Buffer)
        if (found !== null) break
      }
    } finally {
      await handle.close()
    }
    if (found !== null) return { index, position: (found as Group).end, gtid: wanted }
  }
  return null
}

/** One GTID a domain, sorted: two texts are equal where the positions are. */
export function positionText(gtid: string): string {
  const parsed = parseSet(gtid)
  return parsed === null ? gtid : formatSet(positionOf(parsed.set, 'mariadb'), 'mariadb')
}
