import { randomBytes } from 'node:crypto'
import type { TraceIdentity } from '../restore/state/state.ts'

/** A new trace of our own, not sampled. */
export const randomTrace = (): TraceIdentity => ({
  traceId: randomBytes(16).toString('hex'),
  flags: 0,
  traceState: null,
  parentSpanId: null,
  idPrefix: randomBytes(4).toString('hex'),
  nextId: 1,
})
