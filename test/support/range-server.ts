import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'

/** What the server does with one request instead of answering it well; the rest of the path decides nothing. */
export type Fault =
  | { kind: 'ok' }
  /** The connection breaks after so many bytes of the body. */
  | { kind: 'cut'; after: number }
  /** Nothing comes any more after so many bytes. */
  | { kind: 'stall'; after: number }
  /** No reply at all. */
  | { kind: 'silent' }
  /** The connection breaks before the reply. */
  | { kind: 'reset' }
  | { kind: 'status'; status: number; headers?: Record<string, string>; body?: string }
  /** A good body that ends early, as long as its headers say. */
  | { kind: 'short_range' }
  /** Another range than was asked for, with its own good headers. */
  | { kind: 'wrong_range' }
  | { kind: 'redirect' }
  | { kind: 'slow'; bytesPerSecond: number }

export interface RangeServer {
  url: string
  content: Buffer
  /** Ranges that were asked for, in order. */
  requests: string[]
  authorizations: (string | undefined)[]
  paths: string[]
  /** Decides each request's fate; `index` counts from 0. */
  fault: (index: number, range: string) => Fault
  headers: (content: Buffer) => Record<string, string>
  /** False: every request gets the whole object with 200. */
  ranges: boolean
  /** Bytes of bodies that were handed to sockets. */
  sentBytes: number
}

export const etagOf = (content: Buffer): string => `"${createHash('md5').update(content).digest('hex')}"`

/** An HTTP server with ranges on loopback that misbehaves as told; it ends with the test. */
export async function rangeServer(content: Buffer, tls?: { key: string; cert: string }): Promise<RangeServer> {
  const sockets = new Set<Socket>()
  const listener = (request: IncomingMessage, response: ServerResponse) =>
    void answer(request, response).catch(() => response.destroy())
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const self: RangeServer = {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}/full.xb`,
    content,
    requests: [],
    authorizations: [],
    paths: [],
    fault: () => ({ kind: 'ok' }),
    headers: bytes => ({ etag: etagOf(bytes) }),
    ranges: true,
    sentBytes: 0,
  }
  return self

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const range = request.headers.range ?? ''
    const fault = self.fault(self.requests.length, range)
    self.requests.push(range)
    self.paths.push(request.url!)
    self.authorizations.push(request.headers.authorization)
    if (fault.kind === 'silent') return
    if (fault.kind === 'reset') return void request.socket.destroy()
    if (fault.kind === 'status') return void response.writeHead(fault.status, fault.headers).end(fault.body ?? '')
    if (fault.kind === 'redirect') return void response.writeHead(301, { location: `${request.url}` }).end()
    const headers = self.headers(self.content)
    const wanted = request.headers['if-match']
    if (wanted !== undefined && wanted !== headers.etag) return void response.writeHead(412).end()
    const bounds = /^bytes=(\d+)-(\d*)$/.exec(range)
    const total = self.content.length
    let [start, end] = [0, total]
    if (self.ranges && bounds !== null) {
      start = Number(bounds[1])
      end = bounds[2] === '' ? total : Math.min(total, Number(bounds[2]) + 1)
      if (start >= total) return void response.writeHead(416, { 'content-range': `bytes */${total}` }).end()
      if (fault.kind === 'short_range') end = start + Math.ceil((end - start) / 2)
      if (fault.kind === 'wrong_range') {
        start = Math.floor(start / 2) + 1
        end = Math.min(total, end + 1)
      }
      headers['content-range'] = `bytes ${start}-${end - 1}/${total}`
    }
    response.writeHead(self.ranges && bounds ? 206 : 200, { ...headers, 'content-length': end - start })
    await send(response, self.content.subarray(start, end), fault)
  }

  async function send(response: ServerResponse, body: Buffer, fault: Fault): Promise<void> {
    const limit = fault.kind === 'cut' || fault.kind === 'stall' ? Math.min(fault.after, body.length) : body.length
    const pieceBytes = fault.kind === 'slow' ? Math.max(1, Math.floor(fault.bytesPerSecond / 50)) : 1 << 16
    for (let at = 0; at < limit; at += pieceBytes) {
      const piece = body.subarray(at, Math.min(limit, at + pieceBytes))
      self.sentBytes += piece.length
      if (!response.write(piece)) await drained(response)
      if (response.destroyed) return
      if (fault.kind === 'slow') await sleep(20)
    }
    if (fault.kind === 'cut') response.destroy()
    else if (fault.kind !== 'stall') response.end()
  }
}

/** Resolves when more may be written, or the connection is closed. */
export const drained = (response: ServerResponse): Promise<void> =>
  new Promise(resolve => {
    const done = () => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
    if (response.destroyed) done()
  })
