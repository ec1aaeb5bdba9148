/**
 * Starts one tool so that it can outlive the agent.
 *
 * A wrapper `sh` leads a process group of its own, runs the tool as its child and writes the tool's exit status to a
 * file for this agent or a later one. A signal to the group reaches the tool, and the wrapper survives it by a trap:
 * a child gets the default back for a trapped signal, but would inherit an ignored one. After the tool has ended the
 * wrapper ignores signals, so that they do not hit its mv, and closes the FIFOs before it writes: the other stages
 * wait for their ends. All streams are descriptors: no byte passes the agent, and a grandchild that keeps them open
 * does not hide the exit.
 *
 * The wrapper raises the soft limit on open files to the hard one: a prepare opens a file for each tablespace. It keeps
 * the agent's user, so that no other user can write its status file; with `runAs`, setpriv(1) gives up all rights of
 * root and then executes the tool.
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
ulimit -S -n "$(ulimit -H -n)" 2>/dev/null
trap : HUP INT QUIT TERM
"$@"
code=$?
trap '' HUP INT QUIT TERM
exec </dev/null >/dev/null
umask 077
echo $code >"$status.tmp" && command -p mv -f "$status.tmp" "$status"
exit $code`

export interface UserIds {
  uid: number
  gid: number
}

export interface ToolStart {
  /** Names the tool's files in the run dir. Those of an earlier tool with this id are removed. */
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
  /** The user that the tool runs as; the agent's own when absent. */
  runAs?: UserIds | undefined
  runDir: string
  /** Inherited as descriptor 3: the lock stays held until the tool's last process is gone. */
  lockFd: number | undefined
}

export interface StartedTool {
  id: string
  name: string
  /** Of the wrapper, which leads the tool's process group. */
  pid: number
  pgid: number
  startTicks: number
  stderrPath: string
  statusPath: string
  /** Never rejects. */
  exited: Promise<Exit>
}

/** Rejects when the process cannot start. The caller closes `stdin`, `stdout` and the lock. */
export async function startTool(start: ToolStart): Promise<StartedTool> {
  const { id, name, file, args, stdin, stdout, cwd, env, runAs, runDir, lockFd } = start
  const stderrPath = join(runDir, `${id}.stderr`)
  const statusPath = join(runDir, `${id}.status`)
  const stderrFd = openStderr(stderrPath, statusPath)
  const descriptors = [stdin, stdout, stderrFd, ...(lockFd === undefined ? [] : [lockFd])]
  const wrapper = execa('/bin/sh', ['-c', WRAPPER, name, statusPath, ...dropTo(runAs), file, ...args], {
    stdio: descriptors as ['ignore', 'ignore', 'ignore'], // its types allow literals only
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
    startTicks: readProcStat(pid)!.startTicks, // not reaped yet, so /proc has it even if it has ended
    stderrPath,
    statusPath,
    exited: wrapper.then(end => exitOfWrapper(end, statusPath)),
  }
}

/** The tool gets the user's ids, no other group and no capability, and set-user-ID programs give it none. */
export const dropTo = (runAs: UserIds | undefined): string[] =>
  runAs === undefined
    ? []
    : [
        'setpriv',
        `--reuid=${runAs.uid}`,
        `--regid=${runAs.gid}`,
        '--clear-groups',
        '--inh-caps=-all',
        '--no-new-privs',
        '--',
      ]

function openStderr(stderrPath: string, statusPath: string): number {
  try {
    for (const path of [stderrPath, holePath(stderrPath), statusPath]) rmSync(path, { force: true })
    return openSync(stderrPath, 'a', 0o600)
  } catch (error) {
    throw systemError(error, `cannot write ${stderrPath}`)
  }
}

/** The wrapper exits as its tool did. A wrapper that was killed may have written the status before. */
function exitOfWrapper({ exitCode, signal }: { exitCode?: number; signal?: string }, statusPath: string): Exit {
  if (exitCode !== undefined) return exitOfShellStatus(exitCode)
  return readExit(statusPath) ?? { code: null, signal: (signal ?? null) as NodeJS.Signals | null }
}
