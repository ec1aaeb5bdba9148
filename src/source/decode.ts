import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { OuterFormat } from '../backup/formats.ts'
import { RestoreError } from '../errors.ts'
import { toolEnv } from '../process/tool-env.ts'
import { type FilterCommand, lastLines, toolMissing } from './filter.ts'
import { filterFailure } from './filter-failure.ts'
import type { StreamSource } from './source.ts'

/** One layer and the command that takes it off. */
export interface DecodeStage {
  format: OuterFormat
  command: FilterCommand
}

const STDERR_LIMIT = 1 << 16

/** What is read of a source to decode it. */
type Undecoded = Pick<StreamSource, 'name' | 'file' | 'bytes'>

/** Hands every byte of a source, unpacked, to `push`. Throws what `push` and `decodedBytes` throw. */
export async function decodeStream(
  source: Undecoded,
  stages: readonly DecodeStage[],
  push: (piece: Buffer) => void,
  signal?: AbortSignal,
): Promise<void> {
  for await (const piece of decodedBytes(source, stages)) {
    signal?.throwIfAborted()
    push(piece)
  }
}

/**
 * Every byte of a source, unpacked. It is for looking at a source, not for restoring it: bytes between two stages pass
 * through this process, with backpressure and in bounded memory. Throws what `filterFailure` finds when a stage fails
 * of itself; `tool_missing`. No process is left once the consumer ends, early or not.
 */
export async function* decodedBytes(
  source: Undecoded,
  stages: readonly DecodeStage[],
): AsyncGenerator<Buffer, void, undefined> {
  const running: Stage[] = []
  const joins: Promise<unknown>[] = []
  try {
    let output: AsyncIterable<Buffer> = source.bytes()
    for (const { format, command } of stages) {
      const input = running.length === 0 && source.file ? source.file.fd() : 'pipe'
      const stage = startStage(format, command, input)
      if (stage.child.stdin) joins.push(pipeline(Readable.from(output, { objectMode: false }), stage.child.stdin))
      running.push(stage)
      output = stage.child.stdout as Readable
    }
    // A stage that ends early breaks the join in front of it; its exit says why, so the break itself is no news.
    const joined = Promise.allSettled(joins)
    yield* output
    await joined
    await checkExits(source.name, running)
  } finally {
    for (const { child } of running) child.kill('SIGKILL')
    await Promise.allSettled(running.map(({ exited }) => exited))
  }
}

interface Stage {
  format: OuterFormat
  file: string
  child: ChildProcess
  exited: Promise<number | null>
  stderr: () => string
}

function startStage(format: OuterFormat, { file, args }: FilterCommand, input: number | 'pipe'): Stage {
  const child = spawn(file, args, { stdio: [input, 'pipe', 'pipe'], env: toolEnv(), cwd: '/' })
  let stderr = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_LIMIT)
  })
  const exited = once(child, 'close').then(([exitCode]) => exitCode as number | null)
  // Awaited only when the stream has ended; until then a failed start must not count as unhandled.
  exited.catch(() => {})
  return { format, file, child, exited, stderr: () => stderr }
}

/** The first stage that failed is the cause: those behind it only saw its output end. */
async function checkExits(name: string, stages: readonly Stage[]): Promise<void> {
  for (const { format, file, exited, stderr } of stages) {
    const exitCode = await exited.catch(cause => {
      throw toolMissing(file, cause)
    })
    if (exitCode === 0) continue
    const { code, ...hint } = filterFailure(format, stderr())
    // The key has opened the first bytes: openssl says the same of an end that is missing.
    throw new RestoreError(
      code === 'wrong_key' ? 'source_truncated' : code,
      `${format} cannot read ${name} to its end`,
      {
        lastWords: lastLines(stderr()),
        ...hint,
      },
    )
  }
}
