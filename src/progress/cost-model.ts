/**
 * What work costs before anything was measured: rough physical constants. Each serves only until the run has shown its
 * own rate, and weighs little beside it.
 *
 * Units: seconds, bytes, pages of 16 KiB.
 */
import type { WorkFacts } from './progress.ts'

/**
 * How much a price from before the run weighs beside what the run shows. These were chosen by looking at recorded runs,
 * and so was PAGE_EVICTION_SECONDS: docs/progress.md says at which, and how little they matter. Only the bench changes
 * them: it scores each run with the weights that suit all others best.
 */
export const weights = {
  /** A price from before the run weighs like this share of the work that remains. */
  prior: 0.1,
  /** The guessed density of touches weighs like this share of the redo outside batches. */
  density: 0.5,
  /** After this share of all redo, a batch weighs 1/e. */
  memory: 0.2,
}

export const PAGE_BYTES = 16_384
/** An ordinary SSD, or a network volume, at queue depths that InnoDB reaches with 16 KiB pages. */
const DISK_BYTES_PER_SECOND = 250e6
/** Look a page up, apply a handful of records, compute its checksum. */
const PAGE_CPU_SECONDS = 50e-6
/**
 * xtrabackup, where redo fills the memory: each page that is read evicts another one, and waits until that is written.
 */
const PAGE_EVICTION_SECONDS = 200e-6
/** Parsing redo is CPU work: MariaDB 10.8+ has the compact format and a fast parser, MySQL 8 has neither. */
const SCAN_BYTES_PER_SECOND = { 'mariadb-backup': 800e6, xtrabackup: 150e6 }
/** Share of memory that holds redo records before a batch must be applied; the rest is headers, gaps and pages. */
const REDO_PER_MEMORY = { 'mariadb-backup': 0.85, xtrabackup: 0.7 }
/** Both tools' default of --use-memory. */
const DEFAULT_MEMORY_BYTES = 100 * 2 ** 20
/** A row change with its index entries is some 1-2 KB of redo on 2-3 pages, and rows share pages. */
export const TOUCHES_PER_BYTE = 1 / 6500
/** Undoing one row: find it by its key, change it, log it. */
export const ROW_UNDO_SECONDS = 20e-6
/** Start and end of a server instance: dictionary, undo tablespaces, new redo files. */
export const INSTANCE_SECONDS = 0.5
/**
 * xtrabackup 2.4 (InnoDB 5.7): a start polls threads every 0.1 s, a shutdown waits for threads that wake once a second.
 */
export const START_SECONDS = 0.3
export const SHUTDOWN_SECONDS = 1.3
/** Writing new files from beginning to end and syncing them: the sequential speed of a SATA SSD. */
const WRITE_BYTES_PER_SECOND = 400e6
/** Two files of 48 MiB: MySQL's default, where the tool does not say the size of the new redo files. */
export const DEFAULT_NEW_REDO_BYTES = 96 * 2 ** 20
/** A copy across file systems reads and writes each byte. */
export const COPY_BYTES_PER_SECOND = DISK_BYTES_PER_SECOND / 2
export const RENAME_SECONDS = 0.0005
export const START_CHECK_SECONDS = 2
/** Our own checks: a few steps, and the header of each file. */
export const CHECKS_SECONDS = 0.02
export const CHECK_FILE_SECONDS = 0.0002
/** Row events of small transactions, applied by a server on two cores. */
export const APPLY_BYTES_PER_SECOND = 12e6
/** Reading a source and writing its files. */
export const EXTRACT_BYTES_PER_SECOND = 150e6

/** The weight of a price from before the run where bytes stream: each byte is counted, so the rate is known soon. */
export const STREAM_PRIOR_WEIGHT = 0.02

export type Tool = WorkFacts['tool']

/** Seconds to scan redo. The disk may be slower than the parser (bytes/s; null: unknown). */
export const scanSeconds = (tool: Tool, bytes: number, diskRate: number | null): number =>
  bytes / Math.min(SCAN_BYTES_PER_SECOND[tool], diskRate ?? Number.POSITIVE_INFINITY)

/** Without samples of I/O: a scan far slower than any parser waits for the disk. Bytes per second, or null. */
export function diskRateOfScan(tool: Tool, bytes: number, seconds: number): number | null {
  return seconds >= 1 && bytes > 0 && bytes / seconds < SCAN_BYTES_PER_SECOND[tool] / 4 ? bytes / seconds : null
}

/**
 * Seconds to read, change and write one page on a disk of this speed (bytes/s; null: unknown). Reads and writes
 * overlap. `isCrowded`: the redo does not fit in memory.
 */
export const pageSeconds = (tool: Tool, diskRate: number | null, isCrowded: boolean): number =>
  PAGE_CPU_SECONDS + pageWriteSeconds(diskRate) + (isCrowded && tool === 'xtrabackup' ? PAGE_EVICTION_SECONDS : 0)

/** Seconds to write and sync new files. */
export const writeSeconds = (bytes: number, diskRate: number | null): number =>
  bytes / Math.min(WRITE_BYTES_PER_SECOND, diskRate ?? Number.POSITIVE_INFINITY)

/** xtrabackup 2.4 scans redo that does not fit in memory twice, and starts InnoDB twice to make new redo files. */
export const scansTwice = ({ tool, toolVersion }: WorkFacts): boolean =>
  tool === 'xtrabackup' && toolVersion !== null && toolVersion.startsWith('2.')

/** Seconds to write one page. */
export const pageWriteSeconds = (diskRate: number | null): number => PAGE_BYTES / (diskRate ?? DISK_BYTES_PER_SECOND)

/** Bytes of redo that fit in memory: one batch covers them. */
export const batchBytes = (tool: Tool, memoryBytes: number | null): number =>
  (memoryBytes ?? DEFAULT_MEMORY_BYTES) * REDO_PER_MEMORY[tool]

/**
 * Pages that one batch of redo touches. Touches fall on the pages of `dataBytes` at random, and a page counts once:
 * D (1 - e^(-touches / D)).
 */
export function pagesOfBatch(redoBytes: number, dataBytes: number, touches = TOUCHES_PER_BYTE): number {
  const data = Math.max(dataBytes, PAGE_BYTES) / PAGE_BYTES
  return data * -Math.expm1((-redoBytes * touches) / data)
}

/** The inverse: touches a byte, where batches of `batch` bytes touched so many pages a byte. */
export function touchesPerByte(pagesPerByte: number, batch: number, dataBytes: number): number {
  const pages = pagesPerByte * batch
  // Where all pages were touched nobody knows how often: about three times.
  const data = Math.max(dataBytes / PAGE_BYTES, pages * 1.05)
  return pages > 0 ? (-data * Math.log1p(-pages / data)) / batch : 0
}

/** Pages that redo touches when it is applied in batches of `batch` bytes. */
export function pagesOfRedo(redoBytes: number, batch: number, dataBytes: number, touches = TOUCHES_PER_BYTE): number {
  if (redoBytes <= 0) return 0
  const batches = Math.floor(redoBytes / batch)
  return (
    batches * pagesOfBatch(batch, dataBytes, touches) + pagesOfBatch(redoBytes - batches * batch, dataBytes, touches)
  )
}

/** x up to 0.7, then slower, never 1: work that takes longer than expected never counts as done. */
export const soften = (x: number): number => (x <= 0.7 ? x : 1 - 0.3 * Math.exp((0.7 - x) / 0.3))

/**
 * The disk's speed, measured in steps that stream through it (delta apply, scan). It counts where they waited for the
 * disk: most bytes came from or went to the device, not the page cache, and the CPU was mostly idle.
 */
export const initialDisk = {
  seconds: 0,
  cpuSeconds: 0,
  /** From and to the device, and in all. */
  deviceBytes: 0,
  movedBytes: 0,
  /** Fastest reading over at least a second, in any step, bytes/s; and the open window. */
  peakRate: 0,
  windowSeconds: 0,
  windowBytes: 0,
}
export type DiskMeter = Readonly<typeof initialDisk>

const LEAST_SECONDS = 1
const MOSTLY_DEVICE = 0.5
const MOSTLY_IDLE = 0.6

/** Bytes per second; null where no step waited for the disk, or nothing tells. */
export function diskRate({ seconds, cpuSeconds, deviceBytes, movedBytes }: DiskMeter): number | null {
  if (seconds < LEAST_SECONDS || deviceBytes < MOSTLY_DEVICE * movedBytes) return null
  return cpuSeconds < MOSTLY_IDLE * seconds ? deviceBytes / seconds : null
}

/** Adds what the tool read from the disk in so many seconds, in any step. */
export function read(disk: DiskMeter, bytes: number, seconds: number): DiskMeter {
  const windowSeconds = disk.windowSeconds + seconds
  const windowBytes = disk.windowBytes + bytes
  if (windowSeconds < LEAST_SECONDS) return { ...disk, windowSeconds, windowBytes }
  return { ...disk, windowSeconds: 0, windowBytes: 0, peakRate: Math.max(disk.peakRate, windowBytes / windowSeconds) }
}
