import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { findProgram } from '../../process/find-program.ts'
import { type FamilyName, type ToolFamily, toolFamily } from '../../tool/tool.ts'
import type { PlannedTool } from './plan.ts'

export interface FoundTool {
  planned: PlannedTool
  family: ToolFamily
}

/**
 * The tool that restores this backup: the family asked for, or the one that made it, or the only one there is; from
 * --tool-path, or the first of the family's names on PATH. Throws `usage`, `tool_missing`, `tool_version` (it does not tell a version).
 */
export async function findTool(
  options: Pick<RestoreOptions, 'tool' | 'toolPath'>,
  made: FamilyName | null,
  versionWithinMs = VERSION_WITHIN_MS,
): Promise<FoundTool> {
  const name = options.tool === 'auto' ? (made ?? onlyFamily()) : options.tool
  if (name === null)
    throw new RestoreError('usage', 'nothing in the backup tells which tool made it', {
      hint: 'say it with --tool mariadb-backup or --tool xtrabackup',
    })
  if (made !== null && made !== name)
    throw new RestoreError('tool_version', `the backup was made by ${made}, --tool says ${name}`)
  const family = toolFamily(name)
  const path = options.toolPath === null ? firstOf(family.programs) : findProgram(options.toolPath)
  return {
    family,
    planned: {
      family: name,
      path,
      extractor: extractorOf(family, path),
      version: await versionOf(family, path, versionWithinMs),
    },
  }
}

/** The one family that is installed here; what the backup says after extract is held against it. */
function onlyFamily(): FamilyName | null {
  const installed = (['mariadb-backup', 'xtrabackup'] as const).filter(name => isOnPath(toolFamily(name).programs))
  return installed.length === 1 ? installed[0]! : null
}

const isOnPath = (programs: readonly string[]): boolean => {
  try {
    return firstOf(programs) !== ''
  } catch {
    return false
  }
}

/** The extractor that came with the tool, where there is one beside it; else the one on PATH. */
function extractorOf(family: ToolFamily, path: string): string {
  const beside = family.extractors.map(name => join(dirname(path), name)).find(existsSync)
  return beside ?? firstOf(family.extractors)
}

function firstOf(programs: readonly string[]): string {
  for (const program of programs) {
    try {
      return findProgram(program)
    } catch {
      // the next name
    }
  }
  throw new RestoreError('tool_missing', `${programs.join(' or ')} is not on PATH`)
}

/** A tool that has only to tell its version and does not within this time never will. */
const VERSION_WITHIN_MS = 30_000

async function versionOf(family: ToolFamily, path: string, withinMs: number): Promise<string> {
  const { file, args } = family.version(path)
  // A group of its own, so that what a script behind the path has started ends with it.
  const child = execa(file, [...args], { all: true, reject: false, stdin: 'ignore', detached: true })
  let late = false
  const killGroup = () => {
    late = true
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // gone in the instant
    }
  }
  const timer = setTimeout(killGroup, withinMs)
  process.on('exit', killGroup)
  const { all = '', failed } = await child
  clearTimeout(timer)
  process.off('exit', killGroup)
  const version = family.parseVersion(all)
  if (failed || version === null)
    throw new RestoreError(
      'tool_version',
      `${path} does not tell its version${late ? ` within ${withinMs / 1000} s` : ''}`,
      { lastWords: all.split('\n').slice(-5) },
    )
  return version
}
