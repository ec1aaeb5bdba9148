import type { Dispatcher } from 'undici'
import type { ObjectRequest } from './http-object.ts'
import type { HttpAccess } from './job.ts'
import { s3Request } from './s3-request.ts'

/** Connections for all objects that a process reads, at most so many to a server. Whoever opened it destroys it. */
export async function openDispatcher(connections: number): Promise<Dispatcher> {
  const { EnvHttpProxyAgent } = await import('undici')
  return new EnvHttpProxyAgent({
    connections,
    // Windows wait in sockets of their own; HTTP/2 would put all into one.
    allowH2: false,
    // Our own clocks tell a slow server from a slow tool; undici's would count both.
    bodyTimeout: 0,
    headersTimeout: 0,
    connect: { timeout: 15_000 },
  })
}

/** How an object is asked for, by the kind of its server. */
export function openAccess(name: string, access: HttpAccess, dispatcher: Dispatcher): ObjectRequest {
  if (access.kind === 's3') return s3Request(name, access, dispatcher)
  const { url, headers } = withoutUser(access.url)
  return { dispatcher, name, authorize: async () => ({ url, headers }) }
}

/** A user and password in a URL become a header, which a redirect to another host does not carry on. */
function withoutUser(text: string): { url: string; headers: Record<string, string> } {
  const url = new URL(text)
  const { username, password } = url
  if (username === '' && password === '') return { url: text, headers: {} }
  url.username = ''
  url.password = ''
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { url: url.href, headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } }
}
