import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { execa } from 'execa'
import { makeChain } from '../test/integration/make-chain.ts'

/**
 * What prefetching is worth: `node bench/prefetch.ts [ROUNDS]` restores one real chain (a full backup and three
 * incrementals) with prefetch `auto` and `off`, in turns, from local files and from an HTTP server behind
 * `--max-bandwidth`. It prints the median seconds of both and their ratio.
 */
const ROUNDS = Number(process.argv[2] ?? 5)
const SLOW = '6M'
const SIZE = { megabytes: 96, fullRedoMegabytes: 24, incrementals: 3, incrementalRedoMegabytes: 24 }
const MAIN = join(import.meta.dirname, '../src/main.ts')

const folder = mkdtempSync(join(tmpdir(), 'ra-bench-prefetch-'))
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

/** Files of the folder with ranges; the client limits the rate. */
const server = createServer((request, response) => {
  const path = join(folder, basename(request.url ?? ''))
  const { size, mtimeMs } = statSync(path)
  const [, from = '0', to = String(size - 1)] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? []
  const [start, end] = [Number(from), Math.min(Number(to || size - 1), size - 1)]
  const body = Buffer.alloc(end - start + 1)
  const file = openSync(path, 'r')
  readSync(file, body, 0, body.length, start)
  closeSync(file)
  response.writeHead(206, {
    etag: `"${size}-${mtimeMs}"`,
    'content-range': `bytes ${start}-${end}/${size}`,
    'content-length': body.length,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
})

async function restore(sources: readonly string[], flags: readonly string[], round: string): Promise<number> {
  const datadir = join(folder, `data-${round}`)
  const begin = performance.now()
  const args = [MAIN, 'restore', ...sources, '--datadir', datadir, '--state-dir', join(folder, `state-${round}`)]
  const { exitCode, stderr } = await execa(process.execPath, [...args, '--allow-outside', '--quiet', ...flags], {
    reject: false,
  })
  if (exitCode !== 0) throw new Error(stderr)
  for (const path of [datadir, join(folder, `state-${round}`)]) rmSync(path, { recursive: true, force: true })
  return (performance.now() - begin) / 1000
}

try {
  const { elements } = await makeChain(folder, SIZE)
  const files = elements.map(({ bare }) => bare)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const urls = files.map(path => `http://127.0.0.1:${port}/${basename(path)}`)
  console.log(
    `elements of ${files.map(path => Math.round(statSync(path).size / 2 ** 20)).join(', ')} MiB in ${dirname(files[0]!)}`,
  )
  for (const [name, sources, flags] of [
    ['local files', files, []],
    [`HTTP at ${SLOW}/s`, urls, ['--max-bandwidth', SLOW]],
  ] as const) {
    const seconds: Record<'auto' | 'off', number[]> = { auto: [], off: [] }
    for (let round = 0; round < ROUNDS; round++)
      for (const prefetch of round % 2 === 0 ? (['auto', 'off'] as const) : (['off', 'auto'] as const))
        seconds[prefetch].push(await restore(sources, ['--prefetch', prefetch, ...flags], `${round}-${prefetch}`))
    const ratios = seconds.auto.map((value, round) => value / seconds.off[round]!)
    const shown = (values: readonly number[]) => values.map(value => value.toFixed(1)).join(' ')
    console.log(`${name}: auto ${shown(seconds.auto)} s, off ${shown(seconds.off)} s`)
    console.log(
      `  median ${median(seconds.auto).toFixed(1)} s and ${median(seconds.off).toFixed(1)} s, median ratio ${median(ratios).toFixed(2)}`,
    )
  }
} finally {
  server.close()
  rmSync(folder, { recursive: true, force: true })
}
