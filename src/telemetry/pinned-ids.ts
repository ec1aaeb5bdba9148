import { randomBytes } from 'node:crypto'
import type { IdGenerator } from '@opentelemetry/sdk-trace'

/** Gives the SDK the ids from the state: a span is made at its end, with the id that it has from its start. */
export interface PinnedIds extends IdGenerator {
  /** Runs `start`, which starts one span synchronously, with these ids. The trace id is used only without a parent. */
  with<T>(ids: { traceId: string; spanId: string }, start: () => T): T
}

export function makeIds(): PinnedIds {
  let pinned: { traceId: string; spanId: string } | undefined
  return {
    generateTraceId: () => pinned?.traceId ?? randomBytes(16).toString('hex'),
    generateSpanId: () => pinned?.spanId ?? randomBytes(8).toString('hex'),
    with(ids, start) {
      pinned = ids
      try {
        return start()
      } finally {
        pinned = undefined
      }
    },
  }
}
