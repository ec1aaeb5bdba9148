import type { IncomingMessage } from 'node:http'
import { HttpError } from './http-error.ts'

export const LARGEST_BODY_BYTES = 64 * 1024

/** The JSON of a request. At most 64 KiB. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  if (!/^application\/json *(;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new HttpError('wrong_media_type', 'the body must be application/json')
  if (request.headers['content-encoding'] !== undefined)
    throw new HttpError('wrong_media_type', 'the body must not be compressed')
  const bytes = await readBytes(request)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new HttpError('bad_request', 'the body is not JSON')
  }
}

/**
 * A body that is too large is still read to its end, up to a limit: closing a socket with unread bytes resets the
 * connection, and the client would not see the answer.
 */
export const FAR_BYTES = 1024 * 1024

async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = () => new HttpError('body_too_large', `the body has more than ${LARGEST_BODY_BYTES} bytes`)
  if (Number(request.headers['content-length'] ?? 0) > FAR_BYTES) throw tooLarge()
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let length = 0
    const onData = (piece: Buffer) => {
      length += piece.length
      if (length <= LARGEST_BODY_BYTES) pieces.push(piece)
      else if (length > FAR_BYTES) {
        request.off('data', onData).pause()
        reject(tooLarge())
      }
    }
    request.on('data', onData)
    request.once('end', () => (length > LARGEST_BODY_BYTES ? reject(tooLarge()) : resolve(Buffer.concat(pieces))))
    // the client has disconnected: nobody
    const gone = () => reject(new HttpError('bad_request', 'the body ended too early'))
    request.once('error', gone).once('close', gone)
  })
}
