/**
 * What the transfer process brings and costs beside curl, from a server on loopback:
 *
 *   npm run bench:sources [-- ROUNDS [MEGABYTES]]
 *
 * Rounds are interleaved and ratios compared within one round, because times are noisy on a shared machine. Each way
 * extracts an xbstream of random files with mbstream; the capped server gives 50 MB/s to each request, and there the
 * bytes go to /dev/null, so that no disk decides.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'

const [rounds = '5', megabytes = '512'] = process.argv.slice(2)
const main = join(import.meta.dirname, '../dist/main.js')

interface Measured {
  seconds: number
  cpuSeconds: number
  rssMegabytes: number | null
}

const folder = mkdtempSync(join(tmpdir(), 'ra-bench-sources-'))
const stream = join(folder, 'backup.xb')
await makeStream()
const bytes = statSync(stream).size
const server = spawn(process.execPath, [join(import.meta.dirname, 'sources/server.ts'), stream], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
try {
  const [line] = await once(server.stdout, 'data')
  const url = `http://127.0.0.1:${Number(line)}`
  const found: Record<string, Measured[]> = { curl: [], transfer: [], 'curl, capped': [], 'transfer, capped': [] }
  for (let round = 0; round < Number(rounds); round++) {
    const ways = [
      () => measure('curl', curl(`${url}/full`), true),
      () => measure('transfer', transferOf(`${url}/full`), true),
      () => measure('curl, capped', curl(`${url}/capped`), false),
      () => measure('transfer, capped', transferOf(`${url}/capped`), false),
    ]
    for (const way of round % 2 === 0 ? ways : ways.reverse()) {
      const [name, measured] = await way()
      found[name]!.push(measured)
    }
  }
  report(found)
} finally {
  server.kill()
  rmSync(folder, { recursive: true, force: true })
}

async function makeStream(): Promise<void> {
  const files = join(folder, 'files')
  mkdirSync(files)
  const part = `${Math.floor(Number(megabytes) / 4)}M`
  await execa('bash', ['-c', `cd ${files} && for name in a b c d; do head -c ${part} /dev/urandom > $name.ibd; done`])
  await execa('bash', ['-c', `cd ${files} && mbstream -c *.ibd > ${stream}`])
  rmSync(files, { recursive: true })
}

/** `time` of bash writes user and system seconds of the command. */
function curl(url: string): string {
  return `TIMEFORMAT='%U %S'; { time curl -sf ${url}; } 2>${folder}/cpu`
}

function transferOf(url: string): string {
  const pin = { etag: '"bench"', lastModified: null, size: bytes }
  const access = { kind: 'http', url }
  const limits = { maxBandwidth: null, idleMs: null, patienceMs: null }
  const job = {
    name: url,
    access,
    pin,
    ranged: true,
    checksum: null,
    progressPath: join(folder, 'progress'),
    ...limits,
  }
  writeFileSync(join(folder, 'job'), JSON.stringify(job))
  const probe = `import{writeFileSync}from'node:fs';process.on('exit',()=>writeFileSync('${folder}/usage',JSON.stringify(process.resourceUsage())))`
  writeFileSync(join(folder, 'probe.mjs'), probe)
  return `${process.execPath} --import ${folder}/probe.mjs ${main} transfer bench < ${folder}/job`
}

async function measure(name: string, command: string, extract: boolean): Promise<[string, Measured]> {
  const target = join(folder, 'target')
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target)
  rmSync(join(folder, 'usage'), { force: true })
  await execa('sync')
  const startedAtMs = performance.now()
  await execa('bash', [
    '-c',
    `set -o pipefail; ${command} | ${extract ? `mbstream -x -C ${target}` : 'cat > /dev/null'}`,
  ])
  const seconds = (performance.now() - startedAtMs) / 1000
  if (name.startsWith('curl')) {
    const cpu = readFileSync(join(folder, 'cpu'), 'utf8').trim().split(' ').map(Number)
    return [name, { seconds, cpuSeconds: cpu[0]! + cpu[1]!, rssMegabytes: null }]
  }
  const used = JSON.parse(readFileSync(join(folder, 'usage'), 'utf8'))
  const cpuSeconds = (used.userCPUTime + used.systemCPUTime) / 1e6
  return [name, { seconds, cpuSeconds, rssMegabytes: used.maxRSS / 1024 }]
}

function report(found: Record<string, Measured[]>): void {
  const gib = bytes / 2 ** 30
  for (const [name, all] of Object.entries(found)) {
    const speed = median(all.map(({ seconds }) => bytes / 1e6 / seconds))
    const cpu = median(all.map(({ cpuSeconds }) => cpuSeconds / gib))
    const rss = Math.max(...all.map(({ rssMegabytes }) => rssMegabytes ?? 0))
    const memory = rss === 0 ? '' : `, largest RSS ${rss.toFixed(0)} MiB`
    console.log(`${name}: median ${speed.toFixed(0)} MB/s, ${cpu.toFixed(2)} CPU s a GiB${memory}`)
  }
  for (const [way, than] of [
    ['transfer', 'curl'],
    ['transfer, capped', 'curl, capped'],
  ] as const) {
    const ratios = found[way]!.map(({ seconds }, round) => found[than]![round]!.seconds / seconds)
    const list = ratios.map(ratio => ratio.toFixed(2)).join(' ')
    console.log(`${way} to ${than}: median ${median(ratios).toFixed(2)} of ${list}`)
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}
