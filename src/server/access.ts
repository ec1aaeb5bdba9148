import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type Address, isLoopback } from '../config/serve-schema.ts'
import { HttpError } from './http-error.ts'

/**
 * Who may call the API. File permissions guard a unix socket; TCP needs the token, because any local user can connect.
 * A web page may not call: a name of its own that resolves to 127.0.0.1 (DNS rebinding) shows in Host, and a call
 * across origins in Origin. Throws HttpError.
 */
export function checkCaller({ headers }: IncomingMessage, bound: Address, token: string | null, open: boolean): void {
  if (!('path' in bound) && isLoopback(bound) && !isOwnName(headers.host ?? ''))
    throw new HttpError('wrong_host', 'the Host header names another machine')
  if (headers.origin !== undefined) throw new HttpError('wrong_origin', 'the request comes from a web page')
  if (token === null || open) return
  const shown = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  if (shown === undefined || !sameText(shown, token))
    throw new HttpError(
      'unauthorized',
      shown === undefined ? 'a bearer token is needed' : 'the token is not the right one',
      {
        'WWW-Authenticate': 'Bearer',
      },
    )
}

const isOwnName = (host: string): boolean =>
  /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?$/i.test(host)

/** Takes the same time wherever the texts differ, and whatever their lengths. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
