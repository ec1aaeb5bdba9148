import { z } from 'zod'

/** What the writer of a transfer waits for: the network, the tool that takes the bytes, or the bandwidth limit. */
export const WAITS = ['network', 'tool', 'limit'] as const
export type Wait = (typeof WAITS)[number]

const perWait = z.record(z.enum(WAITS), z.number())

/** How a transfer goes. The transfer process writes it to a file, and the agent reads it from there. */
export const transferProgressSchema = z.object({
  writtenBytes: z.number(),
  /** Over the last seconds; null in the first ones. */
  bytesPerSecond: z.number().nullable(),
  /** Requests made again, by what failed. */
  retries: z.record(z.string(), z.number()),
  /** What failed last, and how often in a row; null while bytes come. */
  retrying: z.object({ type: z.string(), times: z.number() }).nullable(),
  /** The newest requests that failed; `number` counts from 1 in each transfer, times are Unix ms. */
  failedRequests: z.array(
    z.object({ number: z.number(), startedAtMs: z.number(), endedAtMs: z.number(), type: z.string() }),
  ),
  /** Requests whose bytes are under way, and those whose bytes wait for the tool. */
  active: z.number(),
  waiting: z.number(),
  /** Of the last seconds, the share (0 to 1) that the writer waited for each; null in the first ones. */
  waitShares: perWait.nullable(),
  /**
   * Objects that came whole: whose bytes have the checksum that the store keeps; of which it keeps none; and of which
   * it could not be computed. One that differs fails the transfer.
   */
  checksums: z.object({ verified: z.number(), none: z.number(), unknown: z.number() }),
})

export type TransferProgress = z.output<typeof transferProgressSchema>

/** Changed in place by the transfer. */
export interface TransferStats extends TransferProgress {
  waitsFor: Wait
  /** Since when, by performance.now(). */
  waitsSinceMs: number
  /** In all. */
  waitedMs: Record<Wait, number>
  /** Between the last two looks the writer waited most for the tool, and so did the requests that nobody reads. */
  heldByTool: boolean
  /** At the last look. */
  seen: { atMs: number; writtenBytes: number; waitedMs: Record<Wait, number> }
}

const MOST_FAILED_REQUESTS = 16
/** A share is a mean over about so long. */
const MEAN_MS = 5000

export function newStats(nowMs = performance.now()): TransferStats {
  const nothing = { network: 0, tool: 0, limit: 0 }
  return {
    writtenBytes: 0,
    bytesPerSecond: null,
    retries: {},
    retrying: null,
    failedRequests: [],
    active: 0,
    waiting: 0,
    waitShares: null,
    checksums: { verified: 0, none: 0, unknown: 0 },
    waitsFor: 'network',
    waitsSinceMs: nowMs,
    waitedMs: { ...nothing },
    heldByTool: false,
    seen: { atMs: nowMs, writtenBytes: 0, waitedMs: nothing },
  }
}

/** From now on the writer waits for this. */
export function waitFor(stats: TransferStats, wait: Wait, nowMs = performance.now()): void {
  stats.waitedMs[stats.waitsFor] += nowMs - stats.waitsSinceMs
  stats.waitsFor = wait
  stats.waitsSinceMs = nowMs
}

export function countFailure(stats: TransferStats, type: string, startedAtMs: number): void {
  stats.retries[type] = (stats.retries[type] ?? 0) + 1
  const number = (stats.failedRequests.at(-1)?.number ?? 0) + 1
  stats.failedRequests.push({ number, startedAtMs, endedAtMs: Math.max(startedAtMs, Date.now()), type })
  if (stats.failedRequests.length > MOST_FAILED_REQUESTS) stats.failedRequests.shift()
}

/** Brings the means up to date; called a few times a second. */
export function lookAt(stats: TransferStats, nowMs = performance.now()): void {
  waitFor(stats, stats.waitsFor, nowMs)
  const { seen, waitedMs, writtenBytes } = stats
  const elapsedMs = nowMs - seen.atMs
  if (elapsedMs <= 0) return
  const share = (wait: Wait) => (waitedMs[wait] - seen.waitedMs[wait]) / elapsedMs
  const weight = Math.min(1, elapsedMs / MEAN_MS)
  const mean = (before: number | undefined, value: number) =>
    before === undefined ? value : before + (value - before) * weight
  const shares = { network: share('network'), tool: share('tool'), limit: share('limit') }
  for (const wait of WAITS) shares[wait] = mean(stats.waitShares?.[wait], shares[wait])
  stats.bytesPerSecond = mean(
    stats.bytesPerSecond ?? undefined,
    ((writtenBytes - seen.writtenBytes) * 1000) / elapsedMs,
  )
  stats.heldByTool = share('tool') > 0.5
  stats.waitShares = shares
  stats.seen = { atMs: nowMs, writtenBytes, waitedMs: { ...waitedMs } }
}
