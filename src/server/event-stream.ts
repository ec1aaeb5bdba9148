import type { ServerResponse } from 'node:http'
import { HttpError } from './http-error.ts'

/**
 * GET /events: sends the body of GET /status after each change, at most ten times a second, to any number of clients.
 * It is serialised once for all. A slow client delays nobody: unread bytes in its socket are limited, and beyond the
 * limit it is disconnected and may connect again.
 */
export interface EventStream {
  /** Call it after each change of the body; sending is delayed and bundled. */
  changed(): void
  /** Answers with the stream. Throws `too_many_streams`. */
  add(response: ServerResponse): void
  readonly readers: number
  /** Ends all of them. */
  close(): void
}

export interface EventStreamLimits {
  everyMs: number
  heartbeatMs: number
  mostReaders: number
  mostUnreadBytes: number
}

export const EVENT_STREAM_LIMITS: EventStreamLimits = {
  everyMs: 100,
  heartbeatMs: 15_000,
  mostReaders: 32,
  mostUnreadBytes: 256 * 1024,
}

export function createEventStream(body: () => string, limits: EventStreamLimits = EVENT_STREAM_LIMITS): EventStream {
  const readers = new Set<ServerResponse>()
  let sentAtMs = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | null = null
  const heartbeat = setInterval(() => send(': alive\n\n'), limits.heartbeatMs)
  heartbeat.unref()

  function send(text: string): void {
    for (const reader of readers) {
      if (reader.writableLength > limits.mostUnreadBytes) {
        readers.delete(reader)
        reader.destroy()
      } else reader.write(text)
    }
  }

  function sendStatus(): void {
    timer = null
    sentAtMs = performance.now()
    if (readers.size > 0) send(eventOf(body()))
  }

  return {
    changed() {
      if (timer !== null || readers.size === 0) return
      timer = setTimeout(sendStatus, Math.max(0, sentAtMs + limits.everyMs - performance.now()))
      timer.unref()
    },
    add(response) {
      if (readers.size >= limits.mostReaders)
        throw new HttpError('too_many_streams', `${limits.mostReaders} readers have a stream already`)
      response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' })
      if (response.req.method === 'HEAD') {
        response.end()
        return
      }
      response.once('close', () => readers.delete(response))
      // A reset by the reader; `close` follows and removes it.
      response.on('error', () => {})
      readers.add(response)
      response.write(`retry: 1000\n\n${eventOf(body())}`)
    },
    get readers() {
      return readers.size
    },
    close() {
      clearInterval(heartbeat)
      if (timer !== null) clearTimeout(timer)
      for (const reader of readers) reader.end()
      readers.clear()
    },
  }
}

const eventOf = (body: string) => `event: status\ndata: ${body}\n\n`
