import { closeSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { type Fifo, openFifo, writeToFifo } from './fifo.ts'
import { findProgram } from './find-program.ts'
import { endGroups } from './kill-groups.ts'
import { type StartedTool, startTool, type UserIds } from './start-tool.ts'
import { systemError } from './system-error.ts'
import { toolEnv } from './tool-env.ts'

export interface Stage {
  /** Short, safe in a file name: it is part of the tool's id. */
  name: string
  /** A program on PATH, or a path. */
  file: string
  args: readonly string[]
  /** Added to the pipeline's environment. */
  env?: Readonly<Record<string, string>> | undefined
  /** The user that the tool runs as, where it is not the agent's own. */
  runAs?: UserIds | undefined
}

export interface PipelineOptions {
  /** In the direction of the bytes; at least one. */
  stages: readonly Stage[]
  /** A descriptor that the first stage reads (the caller closes it), or a pipe that the agent writes to. */
  stdin: number | 'pipe' | 'ignore'
  /** Where the last stage writes (the caller closes it); /dev/null when absent. */
  stdoutFd?: number | undefined
  cwd?: string | undefined
  /** Added to what tools inherit (tool-env.ts). */
  env?: Readonly<Record<string, string>> | undefined
  /** For stderr and status files: `<label>-<n>-<name>.stderr` and `.status`, n from 1. */
  runDir: string
  label: string
  /** Descriptor of the lock, which every tool inherits; none when absent. */
  lockFd?: number | undefined
}

export interface Pipeline {
  /** In the order of the stages. */
  tools: StartedTool[]
  /** For stdin 'pipe': the first tool's input. */
  stdin: Writable | null
}

/**
 * Starts tools that pass bytes to each other through FIFOs; only with stdin 'pipe' do bytes pass through JavaScript.
 * Either all tools start or none remains: throws `tool_missing` before any start, other errors after those started
 * are ended.
 */
export async function startPipeline(options: PipelineOptions): Promise<Pipeline> {
  const { stages, stdin, stdoutFd, cwd = process.cwd(), runDir, label, lockFd } = options
  const ready = stages.map(stage => {
    const env = toolEnv({ ...options.env, ...stage.env })
    return { ...stage, env, file: findProgram(stage.file, env) }
  })

  const tools: StartedTool[] = []
  const ours = new Set<number>()
  try {
    const joins = openJoins(stdin === 'pipe' ? stages.length : stages.length - 1, runDir, ours)
    const feed = stdin === 'pipe' ? joins.shift()! : null
    for (const [index, { name, file, args, env, runAs }] of ready.entries()) {
      const id = `${label}-${index + 1}-${name}`
      const from = joins[index - 1]?.readFd ?? feed?.readFd ?? (stdin as number | 'ignore')
      const to = joins[index]?.writeFd ?? stdoutFd ?? 'ignore'
      tools.push(await startTool({ id, name, file, args, env, runAs, cwd, runDir, lockFd, stdin: from, stdout: to }))
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

/** Adds each descriptor to `ours` at once, so that the caller can close all when a later FIFO fails. */
function openJoins(count: number, runDir: string, ours: Set<number>): Fifo[] {
  return Array.from({ length: count }, () => {
    const fifo = openFifo(runDir)
    ours.add(fifo.readFd).add(fifo.writeFd)
    return fifo
  })
}
