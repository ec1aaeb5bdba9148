import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { drained } from '../support/range-server.ts'

/** What the proxy does to one exchange. */
export type Fault =
  | 'none'
  /** The connection breaks before the request is passed on. */
  | 'reset'
  /** The connection breaks in the body. */
  | 'cut'
  /** The body stands still for ever. */
  | 'stall'
  /** Neither reply nor end. */
  | 'silent'
  /** The body comes in small pieces with pauses. */
  | 'slow'
  | '500'
  | '503'
  /** As S3 writes it. */
  | 'slow_down'
  | '403'
  | '301'
  /** The reply is good, and then the idle connection is closed under the client. */
  | 'close_idle'
  /** Content-Length says more than comes. */
  | 'long_length'
  /** Content-Length and Content-Range say less than was asked for, and so much comes. */
  | 'short_range'
  /** Content-Range says another place than the bytes are from. */
  | 'wrong_range'
  /** Range is taken out of the request: the whole object comes. */
  | 'no_range'

const SLOW_DOWN = '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your rate</Message></Error>'

export interface FaultProxy {
  url: string
  /** Requests so far. */
  count: number
  /** Decides each request's fate; `index` counts from 0. */
  fault: (index: number) => Fault
}

/** A reverse proxy on loopback in front of an HTTP server; `random` says where in a body a fault comes. */
export async function faultProxy(upstream: string, random: () => number): Promise<FaultProxy> {
  const sockets = new Set<Socket>()
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing).catch(() => outgoing.destroy()))
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const self: FaultProxy = {
    url: `http://127.0.0.1:${port}${new URL(upstream).pathname}`,
    count: 0,
    fault: () => 'none',
  }
  return self

  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const fault = self.fault(self.count++)
    if (fault === 'silent') return
    if (fault === 'reset') return void incoming.socket.destroy()
    if (fault === '500' || fault === '503' || fault === '403') return void outgoing.writeHead(Number(fault)).end(fault)
    if (fault === 'slow_down') return void outgoing.writeHead(503, { 'retry-after': '0' }).end(SLOW_DOWN)
    if (fault === '301') return void outgoing.writeHead(301, { location: `${incoming.url}` }).end()
    const { range, ...others } = incoming.headers
    const headers = fault === 'no_range' || range === undefined ? others : { ...others, range }
    const reply = await new Promise<IncomingMessage>((resolve, reject) =>
      request(new URL(incoming.url!, upstream), { headers, agent: false }, resolve).on('error', reject).end(),
    )
    await passOn(fault, reply, outgoing)
    if (fault === 'close_idle') setTimeout(() => incoming.socket.destroy(), random() * 20)
  }

  async function passOn(fault: Fault, reply: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const length = Number(reply.headers['content-length'] ?? 0)
    const place = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(reply.headers['content-range'] ?? '')
    const headers = { ...reply.headers }
    let most = length
    if (fault === 'long_length') headers['content-length'] = String(length + 1 + Math.floor(random() * 1000))
    if (fault === 'short_range' && place !== null && length > 1) {
      most = 1 + Math.floor(random() * (length - 1))
      headers['content-length'] = String(most)
      headers['content-range'] = `bytes ${place[1]}-${Number(place[1]) + most - 1}/${place[3]}`
    }
    if (fault === 'wrong_range' && place !== null)
      headers['content-range'] = `bytes ${Number(place[1]) + 1}-${Number(place[2]) + 1}/${place[3]}`
    if (fault === 'cut' || fault === 'stall') most = Math.floor(random() * length)
    outgoing.writeHead(reply.statusCode!, headers)
    let sent = 0
    for await (const piece of reply as AsyncIterable<Buffer>) {
      const part = piece.subarray(0, most - sent)
      sent += part.length
      if (!outgoing.write(part) && !outgoing.destroyed) await drained(outgoing)
      if (outgoing.destroyed || (sent >= most && most < length)) break
      if (fault === 'slow') await sleep(2)
    }
    if (fault === 'cut' || fault === 'long_length') outgoing.destroy()
    else if (fault !== 'stall') outgoing.end()
  }
}
