import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Address } from '../config/serve-schema.ts'
import { RestoreError } from '../errors.ts'
import { HttpError, type HttpErrorCode } from './http-error.ts'

export interface Listener {
  /** As configured: its port may be 0. */
  wanted: Address
  /** Where it really is. */
  address: Address
  /** Takes no more connections, and cuts off those that are left after `graceMs`. */
  close(graceMs?: number): Promise<void>
}

export type Handle = (request: IncomingMessage, response: ServerResponse, bound: Address) => void

/** Somebody slow or silent holds a connection for seconds, not for ever. */
const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16 * 1024,
  // Node's own refusal has no body; ours has one (access.ts).
  requireHostHeader: false,
}
const MOST_CONNECTIONS = 256

/** Throws `listen_failed`. */
export async function openListener(wanted: Address, handle: Handle): Promise<Listener> {
  let address = wanted
  const server = createServer(LIMITS, (request, response) => handle(request, response, address))
  server.maxConnections = MOST_CONNECTIONS
  server.maxHeadersCount = 100
  server.on('clientError', refuseGarbage)
  // An expectation that Node does not know, and would answer without a body, is none of ours either.
  server.on('checkExpectation', (request, response) => handle(request, response, address))
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new RestoreError('listen_failed', `cannot listen on ${addressText(wanted)}: ${error.code}`, {
          cause: error,
          ...(error.code !== 'EADDRINUSE' && { hint: 'give an address of this machine and a port this user may open' }),
        }),
      ),
    )
    server.listen({ host: wanted.host, port: wanted.port })
  })
  address = { host: wanted.host, port: (server.address() as AddressInfo).port }
  return {
    wanted,
    address,
    async close(graceMs = 500) {
      const closed = new Promise(resolve => server.close(resolve))
      const idleTimer = setInterval(() => server.closeIdleConnections(), 10)
      const timer = setTimeout(() => server.closeAllConnections(), graceMs)
      await closed
      clearInterval(idleTimer)
      clearTimeout(timer)
    },
  }
}

export const addressText = ({ host, port }: Address): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** What is no HTTP, too large or too slow never becomes a request; it is answered in the one shape all the same. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const code: HttpErrorCode =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'header_too_large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'request_timeout'
        : 'bad_request'
  const { status, body } = new HttpError(code, 'this is no request the agent can read')
  const text = JSON.stringify(body)
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  )
}
