/**
 * One tool, started so that it does not need us any more.
 *
 * A wrapper `sh` leads a process group of its own and runs the tool as its child. It writes the tool's exit status to a
 * file, whoever is left to read it. Signals to the group reach the tool; the wrapper traps them (a trapped signal is
 * back to its default in a child, an ignored one would not be) and lives on. Once the tool has ended it ignores them, so
 * that its mv is not hit, and lets go of the FIFOs before it writes, for the neighbours wait for their ends. All streams are descriptors, never streams of ours: nothing is pumped, nothing
 * blocks, and the exit is known even when a grandchild holds on to them.
 */
import { closeSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { holePath } from './cap-file.ts'
import { readProcStat } from './proc-stat.ts'
import { systemError } from './system-error.ts'
import { type Exit, exitOfShellStatus, readExit } from './tool-exit.ts'

const WRAPPER = `
status=$1; shift
trap : HUP INT QUIT TERM
"$@"
code=$?
trap '' HUP INT QUIT TERM
exec </dev/null >/dev/null
echo $code >"$status.tmp" && command -p mv -f "$status.tmp" "$status"
exit $code`

export interface ToolStart {
  /** Names the tool's files in the run dir; those of an earlier tool of the same id are removed. */
  id: string
  name: string
  /** Absolute path. */
  file: string
  args: readonly string[]
  stdin: number | 'ignore'
  stdout: number | 'ignore'
  cwd: string
  /** The whole environment. */
  env: NodeJS.ProcessEnv
  runDir: string
  /** Inherited as descriptor 3: the lock stays held until the last process of the tool is gone. */
  lockFd: number | undefined
}

export interface StartedTool {
  id: string
  name: string
  /** The wrapper, leader of the tool's process group. */
  pid: number
  pgid: number
  startTicks: number
  stderrPath: string
  statusPath: string
  /** Never rejects. */
  exited: Promise<Exit>
}

/** Rejects when the process cannot be made. `stdin`, `stdout` and the lock stay open here: the caller closes them. */
export async function startTool(start: ToolStart): Promise<StartedTool> {
  const { id, name, file, args, stdin, stdout, cwd, env, runDir, lockFd } = start
  const stderrPath = join(runDir, `${id}.stderr`)
  const statusPath = join(runDir, `${id}.status`)
  const stderrFd = openAfresh(stderrPath, statusPath)
  const descriptors = [stdin, stdout, stderrFd, ...(lockFd === undefined ? [] : [lockFd])]
  const wrapper = execa('/bin/sh', ['-c', WRAPPER, name, statusPath, file, ...args], {
    stdio: descriptors as ['ignore', 'ignore', 'ignore'], // its types know the descriptors 0 to 9 only
    cwd,
    env,
    extendEnv: false,
    detached: true,
    cleanup: false,
    buffer: false,
    reject: false,
  })
  closeSync(stderrFd)
  const { pid } = wrapper
  if (pid === undefined) throw systemError((await wrapper).cause, `cannot start ${name} (${file}) in ${cwd}`)
  return {
    id,
    name,
    pid,
    pgid: pid,
    startTicks: readProcStat(pid)!.startTicks, // not yet waited for, so it has one even if it has ended
    stderrPath,
    statusPath,
    exited: wrapper.then(end => exitOfWrapper(end, statusPath)),
  }
}

function openAfresh(stderrPath: string, statusPath: string): number {
  try {
    for (const path of [stderrPath, holePath(stderrPath), statusPath]) rmSync(path, { force: true })
    return openSync(stderrPath, 'a', 0o600)
  } catch (error) {
    throw systemError(error, `cannot write ${stderrPath}`)
  }
}

/** The wrapper exits as its tool did. Killed itself, it may still have written the status before. */
function exitOfWrapper({ exitCode, signal }: { exitCode?: number; signal?: string }, statusPath: string): Exit {
  if (exitCode !== undefined) return exitOfShellStatus(exitCode)
  return readExit(statusPath) ?? { code: null, signal: (signal ?? null) as NodeJS.Signals | null }
}
