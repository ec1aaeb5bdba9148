import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, lstatSync, mkdirSync, realpathSync, statSync, unlinkSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { type Address, addressText, type UnixAddress } from '../config/serve-schema.ts'
import { RestoreError } from '../errors.ts'
import { HttpError, type HttpErrorCode } from './http-error.ts'

export interface Listener {
  /** As configured: its port may be 0. */
  wanted: Address
  /** With the port that is open. */
  address: Address
  /** Takes no more connections, and closes those that are left after `graceMs`. */
  close(graceMs?: number): Promise<void>
}

export type Handle = (request: IncomingMessage, response: ServerResponse, bound: Address) => void

/** A slow or silent client keeps a connection for seconds only. */
const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16 * 1024,
  // Node refuses a request without Host itself, but without a body.
  requireHostHeader: false,
}
const MAX_CONNECTIONS = 256
/** sun_path of unix(7), without its final NUL. */
const LONGEST_SOCKET_PATH = 107

/** Throws `listen_failed`. */
export async function openListener(wanted: Address, handle: Handle): Promise<Listener> {
  let address = wanted
  const server = createServer(LIMITS, (request, response) => handle(request, response, address))
  server.maxHeadersCount = 100
  makeRoomForNewConnections(server)
  server.on('clientError', refuseMalformed)
  // Without a listener Node itself answers an unknown Expect header, without a body.
  server.on('checkExpectation', (request, response) => handle(request, response, address))
  try {
    if ('path' in wanted) await listenOnSocket(server, wanted)
    else {
      await listening(server, () => server.listen({ host: wanted.host, port: wanted.port }))
      address = { host: wanted.host, port: (server.address() as AddressInfo).port }
    }
  } catch (error) {
    server.close()
    throw listenFailed(wanted, error as NodeJS.ErrnoException)
  }
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

function listenFailed(wanted: Address, error: NodeJS.ErrnoException): RestoreError {
  if (error instanceof RestoreError) return error
  return new RestoreError('listen_failed', `cannot listen on ${addressText(wanted)}: ${error.code ?? error.message}`, {
    cause: error,
    ...(error.code !== 'EADDRINUSE' && {
      hint: 'give a socket path in a directory of this user, or an address of this machine and a port it may open',
    }),
  })
}

const listening = (server: Server, listen: () => void) =>
  new Promise<void>((resolve, reject) => {
    server.once('listening', resolve).once('error', reject)
    listen()
  })

/** The socket has mode 0600, or 0660 with a group, from its first moment: it is made under a umask. */
async function listenOnSocket(server: Server, { path, group }: UnixAddress): Promise<void> {
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH)
    throw new Error(`a socket path may have at most ${LONGEST_SOCKET_PATH} bytes`)
  const gid = group === null ? null : groupId(group)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  checkDirectory(dirname(path))
  await removeStaleSocket(path)
  const umask = process.umask(0o177)
  try {
    // listen(2) on a path happens before this call returns.
    await listening(server, () => {
      server.listen({ path })
      process.umask(umask)
    })
  } finally {
    process.umask(umask)
  }
  if (gid === null) return
  chownSync(path, -1, gid)
  chmodSync(path, 0o660)
}

/** A user who can write the directory, or rename one above it, could replace the socket. */
function checkDirectory(directory: string): void {
  const own = process.geteuid!()
  for (let path = realpathSync(directory), isParent = false; ; path = dirname(path), isParent = true) {
    const { uid, mode } = statSync(path)
    const isSticky = (mode & 0o1000) !== 0
    if ((uid !== own && uid !== 0) || ((mode & 0o022) !== 0 && !(isParent && isSticky)))
      throw new Error(`another user can write ${path}`)
    if (path === '/') return
  }
}

/** Removes the socket of a killed agent. One that accepts connections stays: EADDRINUSE follows. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found?.isSocket() || found.uid !== process.geteuid!()) return
  const isStale = await new Promise<boolean>(resolve => {
    const socket = connect(path, () => resolve(false))
    socket.on('error', error => resolve((error as NodeJS.ErrnoException).code === 'ECONNREFUSED'))
    socket.on('close', () => resolve(false)).unref()
    socket.once('connect', () => socket.destroy())
  })
  if (isStale) unlinkSync(path)
}

function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group)
  // getent asks every source of nsswitch.conf, not only /etc/group.
  const { stdout } = spawnSync('getent', ['group', group], { encoding: 'utf8' })
  const gid = /^[^:]*:[^:]*:(\d+):/.exec(stdout ?? '')?.[1]
  if (gid === undefined) throw new Error(`socket_group: there is no group ${group} on this machine`)
  return Number(gid)
}

/**
 * At the limit a new connection takes the place of the oldest one that waits without a request, so that clients that
 * only connect cannot keep others out. Node's own maxConnections refuses the new one.
 */
function makeRoomForNewConnections(server: Server): void {
  const sockets = new Set<Socket>()
  const requests = new Map<Socket, number>()
  server.on('connection', socket => {
    if (sockets.size >= MAX_CONNECTIONS) {
      const oldest = [...sockets].find(candidate => !requests.has(candidate))
      ;(oldest ?? socket).destroy()
      if (oldest === undefined) return
      sockets.delete(oldest)
    }
    sockets.add(socket)
    socket.once('close', () => {
      sockets.delete(socket)
      requests.delete(socket)
    })
  })
  const count = ({ socket }: IncomingMessage, response: ServerResponse) => {
    requests.set(socket, (requests.get(socket) ?? 0) + 1)
    response.once('close', () => {
      const left = (requests.get(socket) ?? 1) - 1
      if (left > 0) requests.set(socket, left)
      else requests.delete(socket)
    })
  }
  server.on('request', count).on('checkExpectation', count)
}

/** Answers what never becomes a request (bytes that are no HTTP, too many headers, timeouts) in the same form. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
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
  const { status, body } = new HttpError(code, 'the agent cannot read this as a request')
  const text = JSON.stringify(body)
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  )
}
