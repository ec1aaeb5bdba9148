import { closeSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { type Fifo, openFifo } from './fifo.ts'
import { writeToFifo } from './fifo-writer.ts'
import { findProgram } from './find-program.ts'
import { endGroups } from './kill-groups.ts'
import { type StartedTool, startTool } from './start-tool.ts'
import { systemError } from './system-error.ts'
import { TOOL_LOCALE } from './tool-locale.ts'

export interface Stage {
  /** Short, safe in a file name: it is part of the tool's id. */
  name: string
  /** A program on PATH, or a path. */
  file: string
  args: readonly string[]
  /** Added to the pipeline's environment. */
  env?: Readonly<Record<string, string>> | undefined
}

export interface PipelineOptions {
  /** In the order the bytes flow; at least one. */
  stages: readonly Stage[]
  /** A descriptor read by the first stage itself (stays open here: its position is the progress), or bytes pumped by us. */
  stdin: number | 'pipe' | 'ignore'
  /** Where the last stage writes (stays open here); nowhere when absent. */
  stdoutFd?: number | undefined
  cwd?: string | undefined
  /** Added to our own environment; the language is English in any case. */
  env?: Readonly<Record<string, string>> | undefined
  /** Stderr and status files go here: `<label>-<n>-<name>.stderr` and `.status`, n from 1. */
  runDir: string
  label: string
  /** The lock's descriptor; every tool inherits it. Absent for tools that run without a lock. */
  lockFd?: number | undefined
}

export interface Pipeline {
  /** As the stages. */
  tools: StartedTool[]
  /** For stdin 'pipe': where the bytes go; ends the first tool's input when ended. */
  stdin: Writable | null
}

/**
 * Starts tools that hand bytes to each other through FIFOs; nothing passes through JavaScript except with stdin 'pipe'.
 * Either all are started or none is left: throws `tool_missing` before anything is done, other errors after what had
 * started is gone.
 */
export async function startPipeline(options: PipelineOptions): Promise<Pipeline> {
  const { stages, stdin, stdoutFd, cwd = process.cwd(), runDir, label, lockFd } = options
  const ready = stages.map(stage => {
    const env = { ...process.env, ...options.env, ...stage.env, ...TOOL_LOCALE }
    return { ...stage, env, file: findProgram(stage.file, env) }
  })

  const tools: StartedTool[] = []
  const ours = new Set<number>()
  try {
    const joins = openJoins(stdin === 'pipe' ? stages.length : stages.length - 1, runDir, ours)
    const feed = stdin === 'pipe' ? joins.shift()! : null
    for (const [index, { name, file, args, env }] of ready.entries()) {
      const id = `${label}-${index + 1}-${name}`
      const from = joins[index - 1]?.readFd ?? feed?.readFd ?? (stdin as number | 'ignore')
      const to = joins[index]?.writeFd ?? stdoutFd ?? 'ignore'
      tools.push(await startTool({ id, name, file, args, env, cwd, runDir, lockFd, stdin: from, stdout: to }))
    }
    if (feed === null) return { tools, stdin: null }
    const writable = writeToFifo(feed.writeFd)
    ours.delete(feed.writeFd)
    return { tools, stdin: writable }
  } catch (error) {
    await endGroups(tools)
    throw systemError(error, `cannot start ${label}`)
  } finally {
    for (const fd of ours) closeSync(fd)
  }
}

/** Every descriptor opened is in `ours` at once, so that none is lost when a later one fails. */
function openJoins(count: number, runDir: string, ours: Set<number>): Fifo[] {
  return Array.from({ length: count }, () => {
    const fifo = openFifo(runDir)
    ours.add(fifo.readFd).add(fifo.writeFd)
    return fifo
  })
}
