import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { z } from 'zod'
import { RestoreError } from '../../errors.ts'
import { scrubText } from '../../secrets.ts'
import type { pinSchema } from './job.ts'
import { TransientError } from './transient-error.ts'

/** A half-open range of an object's bytes; `end` is Infinity where its size is unknown. */
export interface ByteRange {
  start: number
  end: number
}

/**
 * What proves that two replies are of the same bytes. Without tag and date nothing does, so the object can be read only
 * by one request from its start.
 */
export type ObjectPin = z.output<typeof pinSchema>

export interface RangeReply {
  body: Readable
  /** Where the body's first byte lies in the object: 0 where the server knows no ranges. */
  start: number
  pin: ObjectPin
  /** The server answers ranges. */
  ranged: boolean
  headers: Readonly<Record<string, string | undefined>>
}

/** Gives a request's URL and headers, anew for each request: signatures and tokens run out. */
export type Authorize = () => Promise<{ url: string; headers: Record<string, string> }>

const REDIRECTS = new Set([301, 302, 303, 307, 308])
const MOST_REDIRECTS = 5
/** Replies that a later request may not get. */
const MAY_PASS = new Set([408, 409, 425, 429, 500, 502, 503, 504])
/** Of an error's body: enough for any server's code and message. */
const ERROR_BYTES = 4096

export interface ObjectRequest {
  dispatcher: Dispatcher
  /** For people: without a secret. */
  name: string
  authorize: Authorize
  /** False: a redirect is left to `explain`. */
  redirects?: false
  /** A HEAD request for all of the object, where that tells more than a GET. */
  head?: { method: 'HEAD'; authorize: Authorize }
  /** GET unless given. */
  method?: 'HEAD'
  /** Knows more of this kind of server's errors; null leaves it to the status. */
  explain?: (status: number, body: string, headers: RangeReply['headers']) => Error | null
}

/**
 * Asks for a range of an object, or for all that a URL gives where `range` is null. Resolves when the reply's headers
 * are there, with the body unread. Rejects with a RestoreError where asking again cannot help, and with a
 * TransientError where it may; `source_changed` where the object is not the pinned one.
 */
export async function requestRange(
  object: ObjectRequest,
  range: ByteRange | null,
  pin: ObjectPin | null,
  signal: AbortSignal,
): Promise<RangeReply> {
  const { request } = await import('undici')
  const { url, headers } = await object.authorize()
  const wanted = {
    ...headers,
    'accept-encoding': 'identity',
    ...(range !== null && { range: rangeHeader(range) }),
    ...(pin?.etag && { 'if-match': pin.etag }),
  }
  let at = new URL(url)
  for (let hops = 0; ; hops++) {
    const sent = at.origin === new URL(url).origin ? wanted : withoutAuthorization(wanted)
    const reply = await request(at, {
      dispatcher: object.dispatcher,
      method: object.method ?? 'GET',
      headers: sent,
      signal,
      highWaterMark: 1 << 18,
    })
    // An error of a body that nobody reads yet is found when it is read.
    reply.body.on('error', () => {})
    const plain = plainHeaders(reply.headers)
    const location = REDIRECTS.has(reply.statusCode) && object.redirects !== false ? plain.location : undefined
    if (location === undefined) return checkReply(object, range ?? ALL, pin, reply.statusCode, plain, reply.body)
    reply.body.destroy()
    if (hops === MOST_REDIRECTS) throw new RestoreError('source_unreadable', `${object.name} redirects without end`)
    const next = new URL(location, at)
    if (!['http:', 'https:'].includes(next.protocol) || (at.protocol === 'https:' && next.protocol !== 'https:'))
      throw new RestoreError('source_unreadable', `${object.name} redirects from ${at.protocol} to ${next.protocol}`)
    at = next
  }
}

export const ALL: ByteRange = { start: 0, end: Number.POSITIVE_INFINITY }
const rangeHeader = ({ start, end }: ByteRange): string =>
  `bytes=${start}-${end === Number.POSITIVE_INFINITY ? '' : end - 1}`

const withoutAuthorization = ({ authorization: _, ...headers }: Record<string, string>) => headers

const plainHeaders = (headers: Record<string, string | string[] | undefined>): RangeReply['headers'] =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )

async function checkReply(
  object: ObjectRequest,
  range: ByteRange,
  pin: ObjectPin | null,
  status: number,
  headers: RangeReply['headers'],
  body: Readable,
): Promise<RangeReply> {
  try {
    if (status !== 200 && status !== 206) throw await refusal(object, status, headers, body, pin)
    const place = status === 206 ? contentRange(headers['content-range']) : { start: 0, end: null, size: null }
    if (place === null || (status === 206 && (place.start !== range.start || place.end! > range.end)))
      throw new TransientError('wrong_range', `${object.name} answers with another range than was asked for`)
    const length = headers['content-length'] === undefined ? null : Number(headers['content-length'])
    const found = { ...validators(headers), size: status === 206 ? place.size : length }
    if (pin !== null) checkPin(object.name, pin, found)
    return { body, start: place.start, pin: found, ranged: status === 206, headers }
  } catch (error) {
    body.destroy()
    throw error
  }
}

function contentRange(text = ''): { start: number; end: number; size: number | null } | null {
  const found = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(text.trim())
  if (found === null) return null
  return { start: Number(found[1]), end: Number(found[2]) + 1, size: found[3] === '*' ? null : Number(found[3]) }
}

/** RFC 9110, section 8.8: a weak tag proves nothing about bytes, and a date only where it is older than a second. */
function validators(headers: RangeReply['headers']): Pick<ObjectPin, 'etag' | 'lastModified'> {
  const { etag, date, 'last-modified': lastModified } = headers
  const age = Date.parse(date ?? '') - Date.parse(lastModified ?? '')
  return {
    etag: etag !== undefined && /^"[^"]*"$/.test(etag) ? etag : null,
    lastModified: lastModified !== undefined && age >= 1000 ? lastModified : null,
  }
}

export const isPinned = ({ etag, lastModified }: ObjectPin): boolean => etag !== null || lastModified !== null

function checkPin(name: string, pin: ObjectPin, found: ObjectPin): void {
  for (const key of ['etag', 'lastModified', 'size'] as const) {
    const [was, is] = [pin[key], found[key]]
    if (was !== null && is !== null && was !== is) throw changed(name, `${key} was ${was} and is ${is}`)
  }
  const stillProves =
    (pin.etag !== null && found.etag !== null) || (pin.lastModified !== null && found.lastModified !== null)
  if (isPinned(pin) && !stillProves)
    throw new TransientError('no_validator', `${name} answers without ${pin.etag === null ? 'Last-Modified' : 'ETag'}`)
}

const changed = (name: string, what: string): RestoreError =>
  new RestoreError('source_changed', `${name} was replaced while it was read: ${what}`)

async function refusal(
  { name, explain }: ObjectRequest,
  status: number,
  headers: RangeReply['headers'],
  body: Readable,
  pin: ObjectPin | null,
): Promise<Error> {
  const text = await firstBytes(body)
  const known = explain?.(status, text, headers)
  if (known) return known
  const said = scrubText(
    text
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim(),
  ).slice(0, 200)
  const what = `${name}: the server answers ${status}${said === '' ? '' : ` (${said})`}`
  if (status === 412) return changed(name, 'its ETag differs')
  if (status === 416)
    return pin === null
      ? new RestoreError('source_empty', `${name} is empty`)
      : changed(name, 'it is shorter than it was')
  if (status === 404 || status === 410) return new RestoreError('source_missing', what)
  if (status === 401 || status === 403 || status === 407) return new RestoreError('source_denied', what)
  if (MAY_PASS.has(status)) return new TransientError(String(status), what, retryAfterMs(headers['retry-after']))
  return new RestoreError('source_unreadable', what)
}

/** A time as seconds or a date; null where the server names none. At most a minute counts. */
function retryAfterMs(text: string | undefined): number | null {
  if (text === undefined) return null
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isFinite(ms) ? Math.min(60_000, Math.max(0, ms)) : null
}

async function firstBytes(body: Readable): Promise<string> {
  let text = ''
  const limit = setTimeout(() => body.destroy(), 5000)
  try {
    for await (const piece of body) {
      text += String(piece)
      if (text.length >= ERROR_BYTES) break
    }
  } catch {
    // What has come is all there is to say of an error that is reported anyway.
  } finally {
    clearTimeout(limit)
    body.destroy()
  }
  return text.slice(0, ERROR_BYTES)
}
