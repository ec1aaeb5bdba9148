import { execa } from 'execa'
import type { OuterFormat } from '../backup/formats.ts'
import { RestoreError } from '../errors.ts'
import { toolEnv } from '../process/tool-env.ts'

/** A command that takes off one layer: reads the packed bytes on stdin, writes the unpacked ones to stdout. */
export interface FilterCommand {
  file: string
  args: readonly string[]
}

/** The command for a layer. `keyFile` is null for layers without a key. */
export type Filters = (format: OuterFormat, keyFile: string | null) => FilterCommand

export interface FilteredHead {
  output: Buffer
  /** The filter exited 0: what it was given is whole. Of a head that goes on later it means nothing when false. */
  ended: boolean
  /** What the tool complained. A head ends early, so a complaint about that is normal. */
  stderr: string
}

/** A filter that asks on a terminal, or hangs for another reason, does not hold up an inspection. */
const TIMEOUT_MS = 30_000

/**
 * Runs a filter on the first bytes of a stream and gives the first bytes that come out, at most `limitBytes`; then the
 * filter is killed. Throws `tool_missing` when it cannot be started; `source_unreadable` and `tool_killed` when it gave
 * nothing for a reason that is not in the bytes: it hung, or was killed.
 */
export async function filterHead(
  command: FilterCommand,
  head: Buffer,
  limitBytes: number,
  timeoutMs = TIMEOUT_MS,
): Promise<FilteredHead> {
  const filter = execa(command.file, [...command.args], {
    input: head,
    cwd: '/',
    env: toolEnv(),
    extendEnv: false,
    encoding: 'buffer',
    // Ours to collect: execa would make a message of megabytes of bytes that are no text, for a second, in one piece.
    buffer: { stdout: false, stderr: true },
    maxBuffer: { stderr: 1 << 16 },
    reject: false,
    timeout: timeoutMs,
    forceKillAfterDelay: 500,
    stripFinalNewline: false,
  })
  const pieces: Buffer[] = []
  let bytes = 0
  filter.stdout.on('data', (piece: Buffer) => {
    if (bytes >= limitBytes) return
    pieces.push(piece)
    bytes += piece.length
    if (bytes >= limitBytes) filter.kill()
  })
  const result = await filter
  if (result.failed && result.code === 'ENOENT') throw toolMissing(command.file, result.cause)
  if (result.failed && result.exitCode === undefined && !result.isTerminated && !result.isMaxBuffer)
    throw new RestoreError('tool_broken', `cannot start ${command.file}: ${result.code ?? 'unknown cause'}`, {
      cause: result.cause,
    })
  const output = Buffer.concat(pieces).subarray(0, limitBytes)
  if (output.length === 0 && result.timedOut)
    throw new RestoreError('source_unreadable', `${command.file} gave nothing within ${timeoutMs / 1000} s`, {
      hint: 'see what holds it up: a machine under load, or a program of that name that waits for something',
    })
  if (output.length === 0 && result.isTerminated && !result.isMaxBuffer)
    throw new RestoreError('tool_killed', `${command.file} was killed by ${result.signal}`, {
      hint: 'something outside killed it; if it was the OOM killer, free memory or raise the cgroup limit',
    })
  return {
    output,
    ended: result.exitCode === 0,
    stderr: Buffer.from(result.stderr ?? []).toString(),
  }
}

export const toolMissing = (file: string, cause: unknown): RestoreError =>
  new RestoreError('tool_missing', `${file} is not installed, and this backup needs it`, { cause })

/** The last lines of a tool's stderr, without blank ones. */
export const lastLines = (text: string, count = 5): string[] =>
  text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
    .slice(-count)
