/**
 * How fast binlogs are read and checked: files of row events of one size, in the page cache, through the scan of a
 * plan (headers, checksums, groups, GTIDs). Median of five rounds, the sizes interleaved.
 *
 *   node bench/binlog-reader.ts [MIB]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBinlogs } from '../src/binlog/place.ts'
import { readHeads, scanBinlogs } from '../src/binlog/scan.ts'
import { NO_SETTINGS } from '../src/source/store-settings.ts'
import { binlogWriter } from '../test/binlog/binlog-writer.ts'

const BYTES = Number(process.argv[2] ?? 128) * 2 ** 20
const ROUNDS = 5
const EVENT_BYTES = [150, 1024, 8192]
const ROWS_A_TRANSACTION = 20
const HEADER_AND_CHECKSUM = 23

function write(path: string, eventBytes: number): number {
  const writer = binlogWriter([])
  const body = eventBytes - HEADER_AND_CHECKSUM
  let transactions = 0
  while (writer.position() < BYTES) {
    writer.transaction(++transactions, 1_700_000_000, ROWS_A_TRANSACTION * body, body)
  }
  writeFileSync(path, writer.bytes())
  return transactions
}

const folder = mkdtempSync(join(tmpdir(), 'binlog-reader-'))
try {
  const files = EVENT_BYTES.map(eventBytes => {
    const place = join(folder, String(eventBytes))
    const path = `${place}.000001`
    return { eventBytes, path, transactions: write(path, eventBytes), wall: [] as number[], cpu: [] as number[] }
  })
  const place = await openBinlogs({ kind: 'directory', path: folder }, NO_SETTINGS)
  for (let round = 0; round <= ROUNDS; round++)
    for (const { path, transactions, wall, cpu } of files) {
      const source = place.files.find(file => file.path === path)!
      const heads = await readHeads([source], null)
      const [from, cpuFrom] = [performance.now(), process.cpuUsage()]
      const { files: scanned } = await scanBinlogs(heads, { kind: 'end' })
      const used = process.cpuUsage(cpuFrom)
      if (scanned[0]!.groups !== transactions) throw new Error(`${scanned[0]!.groups} of ${transactions} transactions`)
      // The first round warms up: pages and compiler.
      if (round === 0) continue
      wall.push(scanned[0]!.bytes / (performance.now() - from) / 1000)
      cpu.push(scanned[0]!.bytes / (used.user + used.system))
    }
  await place.close()
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!.toFixed(0)
  for (const { eventBytes, transactions, wall, cpu } of files)
    console.log(
      `events of ${eventBytes} bytes, ${transactions} transactions: ${median(wall)} MB/s, ${median(cpu)} MB a second of CPU`,
    )
} finally {
  rmSync(folder, { recursive: true })
}
