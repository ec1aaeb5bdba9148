import { diag } from '@opentelemetry/api'

/** A span processor, metric reader or log record processor. */
export interface Pipeline {
  forceFlush(): Promise<void>
  shutdown(): Promise<void>
}

/** The end of a restore waits at most this long for a backend; with the start of the SDK, 3.2 s in all. */
const SHUTDOWN_MS = 2700

/**
 * Flushes and ends pipelines independently, so that none waits for another. A pipeline has one flush running and at
 * most one waiting, so a backend that hangs gathers no queue. NodeSDK's own shutdown gives up at the first rejection.
 */
export function makeDelivery(pipelines: readonly Pipeline[]) {
  const flushes = new Map<Pipeline, Promise<void>>()
  const again = new Set<Pipeline>()
  let ending = false

  const flushOne = (pipeline: Pipeline): void => {
    if (flushes.has(pipeline)) {
      again.add(pipeline)
      return
    }
    const done = attempt(() => pipeline.forceFlush()).then(() => {
      flushes.delete(pipeline)
      if (again.delete(pipeline) && !ending) flushOne(pipeline)
    })
    flushes.set(pipeline, done)
  }

  return {
    /** Returns at once. Proves no delivery. */
    flush(): void {
      if (!ending) pipelines.forEach(flushOne)
    },
    /** Sends what is left and ends the pipelines. Never rejects. */
    async end(): Promise<void> {
      ending = true
      await Promise.all(
        pipelines.map(async pipeline => {
          // The log processor drops what came during a flush.
          await flushes.get(pipeline)
          await attempt(() => pipeline.shutdown())
        }),
      )
    },
  }
}

/** Waits for the ends of deliveries, at most SHUTDOWN_MS. */
export async function untilDelivered(ends: readonly Promise<void>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>(resolve => {
    timer = setTimeout(() => {
      diag.error(`the backend did not take everything within ${SHUTDOWN_MS / 1000} s`)
      resolve()
    }, SHUTDOWN_MS)
  })
  await Promise.race([Promise.all(ends), late])
  clearTimeout(timer)
}

/** The SDK rejects with an error or a list of errors; they go to its diagnostics. */
async function attempt(deliver: () => Promise<void>): Promise<void> {
  try {
    await deliver()
  } catch (thrown) {
    const errors = [thrown].flat().map(error => (error instanceof Error ? error.message : String(error)))
    diag.error(`delivery failed: ${errors.join('; ')}`)
  }
}
