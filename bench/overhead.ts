/**
 * What restoring through the agent costs over the same bare commands joined by a shell:
 *
 *   npm run bench:overhead -- BACKUP.xb.zst [ROUNDS]
 *
 * Rounds are interleaved and ratios compared within one run, because times are noisy on a shared machine. Prints wall
 * time of both, their median ratio (with and without 1 s taken off for start-up), the agent's own CPU beside the
 * tools', and its largest RSS.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { execa } from 'execa'

const [backup, rounds = '5'] = process.argv.slice(2)
if (!backup) throw new Error('usage: npm run bench:overhead -- BACKUP.xb.zst [ROUNDS]')
const file = resolve(backup)
const main = join(import.meta.dirname, '../dist/main.js')
const MEMORY = '256M'

interface Measured {
  wallSeconds: number
  /** User and system time of the agent alone; null for the shell. */
  agentCpuSeconds: number | null
  toolCpuSeconds: number | null
  rssMegabytes: number | null
}

const shellRounds: Measured[] = []
const agentRounds: Measured[] = []
await execa('cp', [file, '/dev/null']) // the source is in the page cache for both
for (let round = 0; round < Number(rounds); round++) {
  const pair = [bare, agent]
  for (const measure of round % 2 === 0 ? pair : pair.reverse())
    (measure === bare ? shellRounds : agentRounds).push(await inFolder(measure))
}
report()

async function inFolder(measure: (folder: string) => Promise<Measured>): Promise<Measured> {
  const folder = mkdtempSync(join(resolve(file, '..'), 'overhead-'))
  try {
    await execa('sync')
    return await measure(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function bare(folder: string): Promise<Measured> {
  const { seconds } = await timed('bash', [
    '-c',
    `set -eo pipefail; mkdir ${folder}/target; zstd -dc ${file} | mbstream -x -C ${folder}/target
     mariadb-backup --prepare --target-dir=${folder}/target --use-memory=${MEMORY} 2>${folder}/prepare.log
     mariadb-backup --move-back --target-dir=${folder}/target --datadir=${folder}/data 2>${folder}/move.log`,
  ])
  return { wallSeconds: seconds, agentCpuSeconds: null, toolCpuSeconds: null, rssMegabytes: null }
}

async function agent(folder: string): Promise<Measured> {
  const state = join(folder, 'state')
  const usage = join(folder, 'usage.json')
  const probe = `data:text/javascript,import{writeFileSync}from'node:fs';process.on('exit',()=>writeFileSync('${usage}',JSON.stringify(process.resourceUsage())))`
  const { seconds } = await timed(process.execPath, [
    '--import',
    probe,
    main,
    'restore',
    file,
    '--datadir',
    join(folder, 'data'),
    '--state-dir',
    state,
    '--use-memory',
    MEMORY,
    '--quiet',
  ])
  const used = JSON.parse(readFileSync(usage, 'utf8'))
  const { counters } = JSON.parse(readFileSync(join(state, 'state.json'), 'utf8'))
  return {
    wallSeconds: seconds,
    agentCpuSeconds: (used.userCPUTime + used.systemCPUTime) / 1e6,
    toolCpuSeconds: Object.values<number>(counters.cpuSeconds).reduce((sum, value) => sum + value, 0),
    rssMegabytes: used.maxRSS / 1024,
  }
}

async function timed(command: string, args: readonly string[]): Promise<{ seconds: number }> {
  const startedAtMs = performance.now()
  await execa(command, [...args], { stdin: 'ignore' })
  return { seconds: (performance.now() - startedAtMs) / 1000 }
}

function report(): void {
  const ratios = agentRounds.map(({ wallSeconds }, round) => wallSeconds / shellRounds[round]!.wallSeconds)
  const net = agentRounds.map(({ wallSeconds }, round) => (wallSeconds - 1) / shellRounds[round]!.wallSeconds)
  for (const [round, { wallSeconds, agentCpuSeconds, toolCpuSeconds, rssMegabytes }] of agentRounds.entries())
    console.log(
      `round ${round + 1}: shell ${shellRounds[round]!.wallSeconds.toFixed(2)} s, agent ${wallSeconds.toFixed(2)} s, ` +
        `agent CPU ${agentCpuSeconds?.toFixed(2)} s, tools CPU ${toolCpuSeconds?.toFixed(2)} s, RSS ${rssMegabytes?.toFixed(0)} MB`,
    )
  console.log(`median ratio ${median(ratios).toFixed(3)}, after taking off 1 s for start-up ${median(net).toFixed(3)}`)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
