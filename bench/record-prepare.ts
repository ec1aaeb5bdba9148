/**
 * Records a real prepare in the layout that bench/progress.ts scores.
 *
 * node bench/record-prepare.ts OUT_DIR -- mariadb-backup --prepare --use-memory=64M --target-dir=DIR
 * [--incremental-dir=DIR]
 *
 * OUT_DIR gets stderr.chunks.jsonl (as it arrived), stderr.timed.log (ms TAB line), proc.samples.tsv (once a second),
 * exit.txt, command.txt, the metadata files as they were before the run, and facts.json: what a restore looks up before
 * it begins (sizes), because the files it was measured on are gone afterwards.
 *
 * BLKIO_GROUP=/sys/fs/cgroup/blkio/NAME puts the tool into that (throttled) cgroup.
 */
import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const METADATA = /^(xtrabackup|mariadb_backup)_(checkpoints|info|binlog_info)$/
const NOT_DATA = /(^|\/)(ib_logfile0|xtrabackup_logfile|aria_log.*)$|\.(delta|meta|new)$/

const [outDir, separator, ...command] = process.argv.slice(2)
if (outDir === undefined || separator !== '--' || command[0] === undefined) {
  throw new Error('usage: node bench/record-prepare.ts OUT_DIR -- COMMAND...')
}
const option = (name: string): string | undefined =>
  command.find(word => word.startsWith(`--${name}=`))?.slice(name.length + 3)
const targetDir = option('target-dir') ?? '.'
const elementDir = option('incremental-dir') ?? targetDir

mkdirSync(outDir, { recursive: true })
for (const name of readdirSync(elementDir).filter(name => METADATA.test(name))) {
  copyFileSync(join(elementDir, name), join(outDir, name))
}
writeFileSync(join(outDir, 'facts.json'), `${JSON.stringify(factsOf(targetDir, elementDir), null, 1)}\n`)
writeFileSync(join(outDir, 'command.txt'), `${command.join(' ')}\n`)

const group = process.env.BLKIO_GROUP
const startedAt = performance.now()
const child = spawn(
  'sh',
  ['-c', group === undefined ? 'exec "$@"' : `echo $$ >${group}/cgroup.procs; exec "$@"`, 'sh', ...command],
  { stdio: ['ignore', 'ignore', 'pipe'] },
)
const elapsedMs = (): number => Math.round(performance.now() - startedAt)
const chunks: string[] = []
const timed: string[] = []
const samples: string[] = ['t_s\trchar\tread_bytes\twrite_bytes\tcpu_ticks\trss\tthreads\tnfd']
let openLine = ''
child.stderr.setEncoding('utf8').on('data', (data: string) => {
  const ms = elapsedMs()
  chunks.push(JSON.stringify({ ms, data }))
  const lines = (openLine + data).split('\n')
  openLine = lines.pop() ?? ''
  timed.push(...lines.map(line => `${ms}\t${line}`))
})
const timer = setInterval(() => sample(), 1000)
child.on('close', (code, signal) => {
  clearInterval(timer)
  writeFileSync(join(outDir, 'exit.txt'), `exit ${code ?? signal}\nelapsed_ms ${elapsedMs()}\n`)
  writeFileSync(join(outDir, 'stderr.chunks.jsonl'), `${chunks.join('\n')}\n`)
  writeFileSync(join(outDir, 'stderr.timed.log'), `${timed.join('\n')}\n`)
  writeFileSync(join(outDir, 'proc.samples.tsv'), `${samples.join('\n')}\n`)
  process.exitCode = code ?? 1
})

function sample(): void {
  try {
    const io = Object.fromEntries(
      readFileSync(`/proc/${child.pid}/io`, 'utf8')
        .trim()
        .split('\n')
        .map(line => line.split(': ')),
    )
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
    const cpuTicks = Number(stat[11]) + Number(stat[12])
    const descriptors = readdirSync(`/proc/${child.pid}/fd`).length
    samples.push(
      [(elapsedMs() / 1000).toFixed(1), io.rchar, io.read_bytes, io.write_bytes, cpuTicks]
        .concat([String(Number(stat[21]) * 4096), stat[17], descriptors])
        .join('\t'),
    )
  } catch {
    // The tool ended between the timer and the look: that second has no sample.
  }
}

function factsOf(target: string, element: string): Record<string, unknown> {
  const redo = ['ib_logfile0', 'xtrabackup_logfile'].map(name => join(element, name)).find(path => existsSync(path))
  const files = (dir: string): string[] =>
    readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name))
  const deltas = files(element).filter(path => path.endsWith('.delta'))
  return {
    redoBytes: redo === undefined ? null : statSync(redo).size,
    dataFileBytes: files(target)
      .filter(path => !NOT_DATA.test(path))
      .reduce((sum, path) => sum + statSync(path).size, 0),
    deltaFiles:
      deltas.length === 0
        ? null
        : Object.fromEntries(deltas.map(path => [relative(element, path), statSync(path).size])),
  }
}
