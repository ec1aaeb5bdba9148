import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'

/** A machine without Node.js: a Debian of its own, entered by chroot. Processes and network are this machine's. */
export interface Machine {
  /** Its root directory, seen from here. */
  root: string
  start(command: readonly string[], options?: StartOptions): Running
  run(command: readonly string[], options?: StartOptions): Promise<Ended>
  /** Its processes. */
  processes(): { pid: number; command: string }[]
  /** Ends its processes and removes it. */
  close(): Promise<void>
}

interface StartOptions {
  env?: Readonly<Record<string, string>>
  uid?: number
}

export interface Running {
  child: ChildProcess
  ended: Promise<Ended>
}

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** Debian SUITE with these packages. Changes go with the machine: the copy below it is kept and never written. */
export async function machine(suite: 'bullseye' | 'bookworm', packages: readonly string[]): Promise<Machine> {
  const { stdout: base } = await execa('sh', [join(import.meta.dirname, 'debian.sh'), suite, ...packages])
  const folder = mkdtempSync(join(tmpdir(), 'ra-machine-'))
  // One file system for all that the tests write, and a small one: an overlay on an overlay is not possible.
  await execa('mount', ['-t', 'tmpfs', '-o', 'size=3g,mode=755', 'tmpfs', folder])
  const [upper, work, root] = ['upper', 'work', 'root'].map(name => join(folder, name)) as [string, string, string]
  for (const dir of [upper, work, root]) mkdirSync(dir)
  await execa('mount', ['-t', 'overlay', '-o', `lowerdir=${base},upperdir=${upper},workdir=${work}`, 'overlay', root])
  await execa('mount', ['-t', 'proc', 'proc', join(root, 'proc')])

  const start: Machine['start'] = (command, { env, uid = 0 } = {}) => {
    const child = spawn('chroot', [`--userspec=${uid}:${uid}`, root, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', ...env },
    })
    const said = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', text => {
        said[name] += text
      })
    return { child, ended: once(child, 'close').then(([code]) => ({ ...said, code })) }
  }
  const processes = () => processesIn(root)
  return {
    root,
    start,
    run: (command, options) => start(command, options).ended,
    processes,
    async close() {
      for (let tries = 0; processes().length > 0 && tries < 500; tries++) {
        for (const { pid } of processes()) process.kill(pid, 'SIGKILL')
        await sleep(20)
      }
      await execa('umount', ['--recursive', folder])
      rmSync(folder, { recursive: true })
    },
  }
}

function processesIn(root: string): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        if (readlinkSync(`/proc/${pid}/root`) !== root) return []
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
        return [{ pid: Number(pid), command }]
      } catch {
        return [] // it ended while we looked
      }
    })
}
