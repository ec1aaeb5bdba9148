/**
 * What work costs before anything was measured: rough physical constants, none fitted to a run. Each serves only until
 * the run has shown its own rate, and counts for little beside it (weights.ts).
 *
 * Units: seconds, bytes, pages of 16 KiB.
 */
import type { WorkFacts } from './progress.ts'

export const PAGE_BYTES = 16_384
/** An ordinary SSD, or a network volume, at queue depths that InnoDB reaches with 16 KiB pages. */
const DISK_BYTES_PER_SECOND = 250e6
/** Look a page up, apply a handful of records, compute its checksum. */
const PAGE_CPU_SECONDS = 50e-6
/** Parsing redo is CPU work: MariaDB 10.8+ has the compact format and a fast parser, MySQL 8 has neither. */
const SCAN_BYTES_PER_SECOND = { 'mariadb-backup': 800e6, xtrabackup: 150e6 }
/** Share of memory that holds redo records before a batch must be applied; the rest is headers, gaps and pages. */
const REDO_PER_MEMORY = { 'mariadb-backup': 0.85, xtrabackup: 0.7 }
/** Default of both tools' --use-memory, where nobody has said more. */
const DEFAULT_MEMORY_BYTES = 100 * 2 ** 20
/** One page is touched anew every so many bytes of redo: a row change with its index entries is some 1-2 KB of redo on 2-3 pages, and rows share pages. */
export const TOUCHES_PER_BYTE = 1 / 6500
/** Undoing one row: find it by its key, change it, log it. */
export const ROW_UNDO_SECONDS = 20e-6
/** Start and end of a server instance: dictionary, undo tablespaces, new redo files. */
export const INSTANCE_SECONDS = 0.5
/** What a restore copies across file systems reads and writes each byte. */
export const COPY_BYTES_PER_SECOND = DISK_BYTES_PER_SECOND / 2
export const RENAME_SECONDS = 0.0005
export const START_CHECK_SECONDS = 2
/** Reading a source and writing its files. */
export const EXTRACT_BYTES_PER_SECOND = 150e6

/** What a price from before the run counts where bytes stream: they are alike and counted one by one, so the rate is soon known. */
export const STREAM_PRIOR_WEIGHT = 0.02

export type Tool = WorkFacts['tool']

/** Seconds to scan so much redo; the disk may be slower than the parser (bytes/s; null: not known). */
export const scanSeconds = (tool: Tool, bytes: number, diskRate: number | null): number =>
  bytes / Math.min(SCAN_BYTES_PER_SECOND[tool], diskRate ?? Number.POSITIVE_INFINITY)

/** Without a look at the tool's I/O: a scan far slower than any parser waits for the disk. Bytes per second, or null. */
export function diskRateOfScan(tool: Tool, bytes: number, seconds: number): number | null {
  return seconds >= 1 && bytes > 0 && bytes / seconds < SCAN_BYTES_PER_SECOND[tool] / 4 ? bytes / seconds : null
}

/** Seconds to read, change and write one page on a disk of this speed (bytes/s; null: not known): reads run beside the writes. */
export const pageSeconds = (diskRate: number | null): number => PAGE_CPU_SECONDS + pageWriteSeconds(diskRate)

/** Seconds to write one page. */
export const pageWriteSeconds = (diskRate: number | null): number => PAGE_BYTES / (diskRate ?? DISK_BYTES_PER_SECOND)

/** How much redo fits in memory, which is what one batch covers. */
export const batchBytes = (tool: Tool, memoryBytes: number | null): number =>
  (memoryBytes ?? DEFAULT_MEMORY_BYTES) * REDO_PER_MEMORY[tool]

/**
 * Pages that so much redo makes one batch touch: touches fall on `dataBytes` of pages at random, and one that was touched
 * is not counted again, D (1 - e^(-touches / D)). Without the size of the data it is taken to be half of all redo.
 */
export function pagesOfBatch(redoBytes: number, dataBytes: number, touches = TOUCHES_PER_BYTE): number {
  const data = Math.max(dataBytes, PAGE_BYTES) / PAGE_BYTES
  return data * -Math.expm1((-redoBytes * touches) / data)
}

/** The other way round: touches a byte, where batches of `batch` bytes touched so many pages a byte. */
export function touchesPerByte(pagesPerByte: number, batch: number, dataBytes: number): number {
  const pages = pagesPerByte * batch
  // Where all data were touched nobody knows how often: about three times.
  const data = Math.max(dataBytes / PAGE_BYTES, pages * 1.05)
  return pages > 0 ? (-data * Math.log1p(-pages / data)) / batch : 0
}

/** Pages of so much redo applied in batches of `batch` bytes. */
export function pagesOfRedo(redoBytes: number, batch: number, dataBytes: number, touches = TOUCHES_PER_BYTE): number {
  if (redoBytes <= 0) return 0
  const batches = Math.floor(redoBytes / batch)
  return (
    batches * pagesOfBatch(batch, dataBytes, touches) + pagesOfBatch(redoBytes - batches * batch, dataBytes, touches)
  )
}
