import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Address } from '../config/serve-schema.ts'
import { checkCaller } from './access.ts'
import { answerTo, HttpError } from './http-error.ts'
import { FAR_BYTES, readJson } from './read-body.ts'
import { ROUTES, type Route, type RouteName } from './routes.ts'

/**
 * What each route does: returns the answer's body, or `streamed` if it has answered itself. Throws HttpError or
 * RestoreError.
 */
export type Actions = Readonly<Record<RouteName, (call: Call) => Answer | Promise<Answer>>>

export interface Call {
  /** The request's body, of the route's schema. */
  body: unknown
  response: ServerResponse
}

export const STREAMED = Symbol('streamed')
type Answer = object | typeof STREAMED

export interface Doorkeeper {
  /** Null if this address needs no token. */
  token(bound: Address): string | null
  /** Reports a bug. */
  onBug(error: unknown): void
}

/** Answers every request with JSON, whatever happens. */
export async function handleRequest(
  request: IncomingMessage,
  response: ServerResponse,
  bound: Address,
  actions: Actions,
  door: Doorkeeper,
): Promise<void> {
  // A client that has disconnected is no error.
  response.on('error', () => {})
  try {
    const route = findRoute(request)
    checkCaller(request, bound, door.token(bound), route.open)
    const body = route.request === null ? null : checkBody(route, await readJson(request))
    response.setHeader('Cache-Control', 'no-store')
    const answer = await actions[route.name]({ body, response })
    if (answer !== STREAMED) send(request, response, route.success.status, answer, {})
  } catch (thrown) {
    const { status, body, headers } = answerTo(thrown)
    if (body.error.code === 'internal') door.onBug(thrown)
    send(request, response, status, body, headers)
  }
}

/** By the exact path: nothing is decoded, joined or looked up. HEAD is answered as GET; Node leaves the body out. */
function findRoute({ method, url = '' }: IncomingMessage): Route {
  const path = url.split('?', 1)[0]
  const there = ROUTES.filter(route => route.path === path)
  if (there.length === 0) throw new HttpError('not_found', 'there is nothing at this path')
  const route = there.find(route => route.method === (method === 'HEAD' ? 'GET' : method))
  if (route !== undefined) return route
  const allowed = there.flatMap(route => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]))
  throw new HttpError('method_not_allowed', `only ${allowed.join(', ')} here`, { Allow: allowed.join(', ') })
}

function checkBody({ request: schema }: Route, data: unknown): unknown {
  const result = schema!.safeParse(data)
  if (result.success) return result.data
  // The path is a part of the request, so only its plain words are repeated.
  const { message, path, code } = result.error.issues[0]!
  const at = path.map(String).filter(part => /^\w{1,40}$/.test(part))
  const what = code === 'unrecognized_keys' ? 'has a key that is not known here' : message
  throw new HttpError('bad_request', at.length > 0 ? `${at.join('.')}: ${what}` : `the body ${what}`)
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>>,
): void {
  if (response.headersSent || response.destroyed) return
  const text = JSON.stringify(body)
  // Node discards the rest of the request; if it is long, the connection is closed.
  if (!request.complete && bytesToCome(request) > FAR_BYTES) response.shouldKeepAlive = false
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  })
  response.end(text)
}

const bytesToCome = ({ headers }: IncomingMessage): number =>
  headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : Number.POSITIVE_INFINITY
