/**
 * Reads an object in order through several ranged requests at a time.
 *
 * The writer reads one window. The others have their reply's headers and a little of the body, and wait in their
 * sockets, unread: the kernel holds their bytes back, not this process. What breaks is asked for again from the first
 * byte that is missing, with the pin of the first reply, so that bytes of two objects never meet. Three clocks run:
 *   - idle: the window that is read, or a reply's headers, bring nothing for `idleMs`: asked for again;
 *   - stale: a window nobody reads has waited for `staleMs`: dropped, and asked for again when the writer comes near;
 *   - patience: no byte for `patienceMs`, however often it was asked for: the transfer fails.
 * A pause of the consumer stops none of them but costs at most the windows that went stale.
 */
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { RestoreError } from '../../errors.ts'
import {
  type ByteRange,
  isPinned,
  type ObjectPin,
  type ObjectRequest,
  type RangeReply,
  requestRange,
} from './http-object.ts'
import { countFailure, newStats, type TransferStats, type Wait, waitFor } from './stats.ts'
import { connectionError, TransientError } from './transient-error.ts'
import { afterThrottle, afterWindow, MOST_WINDOWS, nextWindow, pauseMs, planWindows } from './window-plan.ts'

export interface TransferOptions {
  range: ByteRange
  pin: ObjectPin
  /** The server answers ranges; without them there is one request. */
  ranged: boolean
  windows?: number | undefined
  windowBytes?: number | undefined
  idleMs?: number | undefined
  staleMs?: number | undefined
  patienceMs?: number | undefined
  signal?: AbortSignal | undefined
}

const IDLE_MS = 30_000
const STALE_MS = 60_000
const PATIENCE_MS = 15 * 60_000
/** A server that begins to refuse may have been asked with credentials that were renewed meanwhile. */
const DENIED_MS = 60_000
const LOOK_MS = 250
const THROTTLES = new Set(['429', '503', 'slow_down'])

interface OpenWindow {
  range: ByteRange
  /** Unix ms. */
  openedAtMs: number
  reply: Promise<RangeReply>
  /** When the reply's headers came; null before. */
  readyAt: number | null
  /** Why it has to be asked for again; null while it has not. */
  lost: Error | 'stale' | null
  close(): void
}

export async function* transfer(
  object: ObjectRequest,
  options: TransferOptions,
  stats: TransferStats = newStats(),
): AsyncGenerator<Buffer, void, undefined> {
  const { pin, ranged, signal, idleMs = IDLE_MS, staleMs = STALE_MS, patienceMs = PATIENCE_MS } = options
  const range = { ...options.range, end: Math.min(options.range.end, pin.size ?? Number.POSITIVE_INFINITY) }
  const mayResume = isPinned(pin)
  const plan = planWindows(range, ranged && mayResume ? (options.windows ?? MOST_WINDOWS) : 1, options.windowBytes)
  const open = (wanted: ByteRange) => openWindow(object, wanted, mayResume ? pin : null, idleMs, signal)
  const ahead: OpenWindow[] = []
  const clock = { waitingSince: null as number | null, close: () => {} }
  let head: OpenWindow | null = null

  const look = setInterval(() => {
    const now = performance.now()
    if (clock.waitingSince !== null && now - clock.waitingSince > idleMs) clock.close()
    for (const window of ahead) {
      if (window.readyAt === null || now - window.readyAt <= staleMs || window.lost) continue
      window.lost = 'stale'
      window.close()
    }
    const open = [...(head === null ? [] : [head]), ...ahead].filter(({ lost }) => !lost)
    // The socket of a window that nobody reads fills up: while the writer waits for the network, it is being filled.
    stats.waiting = stats.heldByTool ? open.filter(({ readyAt }) => readyAt !== null).length : 0
    stats.active = open.length - stats.waiting
  }, LOOK_MS)

  try {
    for (;;) {
      fill()
      head = ahead.shift() ?? null
      if (head === null) return
      yield* readWindow(head)
    }
  } finally {
    clearInterval(look)
    for (const window of [...(head === null ? [] : [head]), ...ahead]) window.close()
  }

  /** Opens new windows up to the limit, and those again that were lost before the writer came to them. */
  function fill(): void {
    for (const [index, { lost, range, openedAtMs }] of ahead.entries()) {
      // What asking again cannot help is thrown when the writer comes to it.
      if (lost === null || (lost !== 'stale' && !mayBeAskedAgain(lost, 0))) continue
      if (lost !== 'stale') countRetry(lost, openedAtMs)
      ahead[index] = open(range)
    }
    for (;;) {
      const next = nextWindow(plan, ahead.length)
      if (next === null) return
      ahead.push(open(next))
    }
  }

  function countRetry(error: Error, openedAtMs: number): string {
    const type = error instanceof TransientError ? error.type : (error as RestoreError).code
    countFailure(stats, type, openedAtMs)
    if (THROTTLES.has(type)) afterThrottle(plan)
    return type
  }

  async function* readWindow(first: OpenWindow): AsyncGenerator<Buffer, void, undefined> {
    const { end } = first.range
    let position = first.range.start
    let failures = 0
    let lastBytesAt = performance.now()
    const before = { ...stats.waitedMs }
    waitFor(stats, 'network')
    for (let window: OpenWindow | null = first; position < end; ) {
      let idle = false
      try {
        head = window ??= open({ start: position, end })
        const reply = await window.reply
        let skip = position - reply.start
        const pieces = piecesOf(reply.body)
        clock.close = () => {
          idle = true
          reply.body.destroy()
        }
        for (;;) {
          clock.waitingSince = performance.now()
          const value = await pieces()
          clock.waitingSince = null
          if (value === null) break
          // A reply of the whole object to a request for a range: what lies around the range is left out.
          const piece: Buffer = value.subarray(skip, reply.ranged ? value.length : skip + end - position)
          skip = Math.max(0, skip - value.length)
          if (piece.length === 0) continue
          if (position + piece.length > end)
            throw new TransientError('too_long', `${object.name} sent more bytes than were asked for`)
          position += piece.length
          failures = 0
          stats.retrying = null
          waitFor(stats, 'tool')
          yield piece
          lastBytesAt = performance.now()
          waitFor(stats, 'network', lastBytesAt)
          if (position === end && !reply.ranged) {
            window.close()
            break
          }
        }
        if (end === Number.POSITIVE_INFINITY) break
        if (position < end) throw new TransientError('short', `${object.name} sent fewer bytes than were asked for`)
      } catch (thrown) {
        clock.waitingSince = null
        const openedAtMs = window?.openedAtMs ?? Date.now()
        window?.close()
        window = null
        signal?.throwIfAborted()
        const silence = `${object.name} sent nothing for ${idleMs / 1000} s`
        const error = idle ? new TransientError('idle', silence) : connectionError(object.name, thrown)
        const silentMs = performance.now() - lastBytesAt
        if (!mayBeAskedAgain(error, silentMs)) throw failure(error, silentMs)
        if (!mayResume && position > 0) throw unprovable(object.name, error)
        failures += 1
        stats.retrying = { type: countRetry(error, openedAtMs), times: failures }
        const asked = error instanceof TransientError ? (error.retryAfterMs ?? 0) : 0
        await sleep(Math.max(asked, pauseMs(failures)), undefined, { signal })
      }
    }
    clock.close = () => {}
    const waited = (wait: Wait) => stats.waitedMs[wait] - before[wait]
    afterWindow(plan, waited('network') > waited('tool') + waited('limit') ? 'network' : 'tool')
  }

  function mayBeAskedAgain(error: Error, silentMs: number): boolean {
    if (error instanceof TransientError) return silentMs < patienceMs
    return (error as RestoreError).code === 'source_denied' && silentMs < Math.min(DENIED_MS, patienceMs)
  }
}

/**
 * A body's pieces as they come, one a call; null at its end. A stream's own iterator joins what has gathered, which
 * copies every byte once more.
 */
function piecesOf(body: Readable): () => Promise<Buffer | null> {
  const pieces: Buffer[] = []
  let wake = () => {}
  body.on('data', (piece: Buffer) => {
    pieces.push(piece)
    body.pause()
    wake()
  })
  for (const event of ['end', 'error', 'close']) body.on(event, () => wake())
  return async () => {
    while (pieces.length === 0) {
      if (body.errored) throw body.errored
      if (body.readableEnded) return null
      if (body.closed) throw Object.assign(new Error('closed'), { code: 'ERR_STREAM_PREMATURE_CLOSE' })
      await new Promise<void>(resolve => {
        wake = resolve
        body.resume()
      })
    }
    return pieces.shift()!
  }
}

function failure(error: Error, silentMs: number): RestoreError {
  if (error instanceof RestoreError) return error
  const { code, hint } = (error instanceof TransientError && error.last) || { code: 'source_unreachable' as const }
  return new RestoreError(code, `no byte for ${Math.round(silentMs / 1000)} s: ${error.message}`, {
    cause: error,
    ...(hint !== undefined && { hint }),
  })
}

const unprovable = (name: string, cause: Error): RestoreError =>
  new RestoreError('source_unreachable', `${name} broke off and cannot be continued: ${cause.message}`, {
    hint: 'the server gives neither a strong ETag nor Last-Modified, so nothing proves that the rest belongs to the same file: serve it with one',
    cause,
  })

function openWindow(
  object: ObjectRequest,
  range: ByteRange,
  pin: ObjectPin | null,
  idleMs: number,
  signal: AbortSignal | undefined,
): OpenWindow {
  const closed = new AbortController()
  const timer = setTimeout(
    () => closed.abort(new TransientError('idle', `${object.name} did not answer for ${idleMs / 1000} s`)),
    idleMs,
  )
  const either = signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal])
  const reply = requestRange(object, range, pin, either).finally(() => clearTimeout(timer))
  const window: OpenWindow = {
    range,
    openedAtMs: Date.now(),
    reply,
    readyAt: null,
    lost: null,
    close() {
      clearTimeout(timer)
      closed.abort(new TransientError('stale', 'not read in time'))
      reply.then(
        ({ body }) => body.destroy(),
        () => {},
      )
    },
  }
  reply.then(
    () => {
      window.readyAt = performance.now()
    },
    thrown => {
      window.lost ??= connectionError(object.name, thrown) // the next to come here is told, or asks again
    },
  )
  return window
}
