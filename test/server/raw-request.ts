import { connect } from 'node:net'

/** Sends these bytes as they are; what comes back until the other side closes, or `forMs` has passed. */
export function rawRequest(
  port: number,
  bytes: string | Uint8Array,
  { forMs = 5_000, end = false } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    const done = () => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(done, forMs)
    socket.setEncoding('latin1').on('data', text => {
      answer += text
    })
    socket.on('end', done).on('close', done)
    socket.on('error', error => {
      if (['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')) done()
      else reject(error)
    })
    if (end) socket.end(bytes)
    else socket.write(bytes)
  })
}

/** Head and body of an answer with a Content-Length. */
export function readAnswer(answer: string): { status: number; head: string; body: string } {
  const [head = '', body = ''] = answer.split(/\r\n\r\n([\s\S]*)/)
  const length = Number(/^content-length: (\d+)/im.exec(head)?.[1])
  return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]), head, body: body.slice(0, length) }
}
