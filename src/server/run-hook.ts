import { type ChildProcess, spawn } from 'node:child_process'
import type { Hook } from '../config/serve-config.ts'

/** Why a hook failed, in one line with the end of its output; null after a success. */
export type HookComplaint = string | null

export interface RunningHook {
  /** Never rejects. */
  ended: Promise<HookComplaint>
  /** SIGTERM to its group now, SIGKILL after the grace. */
  end(): void
}

const GRACE_MS = 5_000
const MOST_WORDS = 512

/**
 * Runs a hook in a process group of its own, with `input` on its stdin. After its timeout the group gets SIGTERM, and
 * SIGKILL after a grace time. Its output is read, so that it never blocks, and only the end is kept.
 */
export function runHook(
  { command, timeoutMs }: Hook,
  input: string,
  env: Readonly<Record<string, string>>,
  graceMs = GRACE_MS,
): RunningHook {
  const [program, ...args] = command
  let child: ChildProcess
  try {
    child = spawn(program!, args, { cwd: '/', env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  } catch (error) {
    return { ended: Promise.resolve(`cannot be started: ${(error as Error).message}`), end() {} }
  }
  let said = ''
  let outOfTime = false
  let killTimer: NodeJS.Timeout | undefined
  let settle: (complaint: HookComplaint) => void = () => {}
  const hear = (text: string) => {
    said = (said + text).slice(-MOST_WORDS)
  }
  // The streams are missing if no descriptors were left for them.
  for (const stream of [child.stdout, child.stderr])
    stream
      ?.setEncoding('utf8')
      .on('data', hear)
      .on('error', () => {})
  // A hook may close its stdin unread.
  child.stdin?.on('error', () => {}).end(input)

  const end = () => {
    const { pid } = child
    if (killTimer !== undefined || pid === undefined) return
    signalGroup(pid, 'SIGTERM')
    killTimer = setTimeout(() => {
      signalGroup(pid, 'SIGKILL')
      // A process that changed its user, or that sleeps in the kernel, may not end.
      killTimer = setTimeout(() => settle(`could not be ended (pid ${pid})${lastWords(said)}`), graceMs)
    }, graceMs)
  }
  const timer = setTimeout(() => {
    outOfTime = true
    end()
  }, timeoutMs)

  const ended = new Promise<HookComplaint>(resolve => {
    settle = complaint => {
      clearTimeout(timer)
      clearTimeout(killTimer)
      // A grandchild may keep them open for ever.
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy()
      resolve(complaint)
    }
    child.once('error', error => settle(`cannot be started: ${error.message}`))
    // Not `close`, because of such a grandchild. The pipes are read in this turn of the event loop.
    child.once('exit', (code, signal) =>
      setImmediate(() => {
        if (outOfTime) {
          signalGroup(child.pid!, 'SIGKILL')
          settle(`took longer than ${timeoutMs / 1000} s and was ended${lastWords(said)}`)
        } else if (signal !== null) settle(`was ended by ${signal}${lastWords(said)}`)
        else settle(code === 0 ? null : `exit code ${code}${lastWords(said)}`)
      }),
    )
  })
  return { ended, end }
}

const lastWords = (said: string) => (said.trim() === '' ? '' : `: ${said.trim().split('\n').at(-1)}`)

/** Ignores a group that is gone or that we may not signal: the wait for its end is bounded. */
function signalGroup(pgid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pgid, signal)
  } catch {
    // ESRCH or EPERM
  }
}
