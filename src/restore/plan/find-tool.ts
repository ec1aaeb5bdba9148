import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { execa } from 'execa'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { findProgram } from '../../process/find-program.ts'
import { toolEnv } from '../../process/tool-env.ts'
import { toolFamily } from '../../tool/families.ts'
import type { FamilyName, ToolFamily } from '../../tool/tool.ts'
import type { PlannedTool } from './plan.ts'

export interface FoundTool {
  planned: PlannedTool
  family: ToolFamily
}

/**
 * The tool that restores this backup: of the family that --tool names, or that made the backup, or the only one
 * installed; from --tool-path, or the first of the family's names on PATH. Throws `usage`, `tool_missing`,
 * `tool_version` (the tool does not tell its version).
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

/** The only family that is installed; it is compared with the metadata after extract. */
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

/** The extractor in the tool's own directory, else the one on PATH. */
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

const VERSION_WITHIN_MS = 30_000

async function versionOf(family: ToolFamily, path: string, withinMs: number): Promise<string> {
  const { file, args } = family.version(path)
  // In a process group of its own: the path may be a script, whose children end with it.
  const child = execa(file, [...args], {
    all: true,
    reject: false,
    stdin: 'ignore',
    detached: true,
    env: toolEnv(),
    extendEnv: false,
    cwd: '/', // this user may not be allowed to enter the working directory
  })
  let late = false
  const killGroup = () => {
    late = true
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // it has just ended
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

const SERVERS = { 'mariadb-backup': ['mariadbd', 'mysqld'], xtrabackup: ['mysqld'] } as const
const CLIENTS = { 'mariadb-backup': ['mariadb', 'mysql'], xtrabackup: ['mysql'] } as const

/** The server of the start check. Throws `tool_missing`. */
export const serverProgram = (family: FamilyName): string => startCheckProgram(SERVERS[family])
/** The client that queries it. Throws `tool_missing`. */
export const clientProgram = (family: FamilyName): string => startCheckProgram(CLIENTS[family])

function startCheckProgram(names: readonly string[]): string {
  const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin` }
  for (const name of names) {
    try {
      const path = findProgram(name, env)
      // Debian's mysqld is a link to mariadbd, which must not touch MySQL's files.
      if (names.includes('mariadbd') || basename(realpathSync(path)) !== 'mariadbd') return path
    } catch {
      // the next name
    }
  }
  throw new RestoreError('tool_missing', `--start-check needs ${names[0]}, which is not on PATH`, {
    hint: 'install it, or leave --start-check out',
  })
}
