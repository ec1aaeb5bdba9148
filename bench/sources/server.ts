import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** `server.ts FILE`: serves the file with ranges on loopback and prints its port; `/capped` gives 50 MB/s a request. */
const file = process.argv[2]!
const { size } = statSync(file)
const CAP_BYTES = 50e6

const server = createServer((request, response) => {
  const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
  const [start, end] = [Number(from), Math.min(size - 1, to === '' ? size - 1 : Number(to))]
  const ranged = request.headers.range !== undefined
  response.writeHead(ranged ? 206 : 200, {
    etag: '"bench"',
    'content-length': end - start + 1,
    ...(ranged && { 'content-range': `bytes ${start}-${end}/${size}` }),
  })
  const body = createReadStream(file, { start, end, highWaterMark: 1 << 18 })
  body.on('error', () => response.destroy())
  response.on('close', () => body.destroy())
  if (request.url === '/capped') body.pipe(capped()).pipe(response)
  else body.pipe(response)
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as { port: number }).port))

function capped(): Transform {
  const startedAtMs = performance.now()
  let bytes = 0
  return new Transform({
    async transform(piece: Buffer, _encoding, done) {
      bytes += piece.length
      const waitMs = (bytes * 1000) / CAP_BYTES - (performance.now() - startedAtMs)
      if (waitMs > 1) await sleep(waitMs)
      done(null, piece)
    },
  })
}
