import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { execa } from 'execa'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { findProgram, findPrograms, isProgram } from '../../process/find-program.ts'
import { toolEnv } from '../../process/tool-env.ts'
import { toolFamily } from '../../tool/families.ts'
import { isServerOf, serverMisfit } from '../../tool/server-command.ts'
import type { BackupVersions, FamilyName, ToolFamily } from '../../tool/tool.ts'
import type { PlannedTool } from './plan.ts'

export interface FoundTool {
  planned: PlannedTool
  family: ToolFamily
  /** Says which of several installed tools is used; null if there is only one. */
  notice: string | null
}

/**
 * The tool that restores this backup: of the family that --tool names, or that made the backup, or the only one
 * installed; from --tool-path, or the first of the family's names on PATH. Throws `usage`, `tool_missing`,
 * `tool_version` (the tool does not tell its version).
 */
export async function findTool(
  options: Pick<RestoreOptions, 'tool' | 'toolPath' | 'toolPaths'>,
  made: FamilyName | null,
  backup: BackupVersions = { tool: null, server: null },
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
  // The version that made the backup, then one that fits, then one that may fit; the first of equals.
  const rank = (version: string): number => {
    if (version === backup.tool) return 3
    const fit = family.versionFits(version, backup)
    return !fit.fits ? 0 : fit.warning === null ? 2 : 1
  }
  const found = await Promise.all(
    candidatesOf(options, family).map(async path => ({
      path,
      version: await versionOf(family, path, versionWithinMs),
    })),
  )
  const { path, version } = found.toSorted((a, b) => rank(b.version) - rank(a.version))[0]!
  return {
    family,
    planned: { family: name, path, extractor: extractorOf(family, path), version },
    notice: found.length > 1 ? `of ${found.length} tools, ${path} (${version}) is used` : null,
  }
}

/**
 * The tools of this family that --tool-path names: a file itself, the tool inside a directory, or inside each directory
 * that `*` matches.
 */
function candidatesOf(
  { toolPath, toolPaths }: Pick<RestoreOptions, 'toolPath' | 'toolPaths'>,
  family: ToolFamily,
): string[] {
  const given = [...(toolPath === null ? [] : [toolPath]), ...toolPaths]
  if (given.length === 0) return [firstOf(family.programs)]
  const found = given.flatMap(expanded).flatMap(path => {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory())
      return given.includes(path) ? [findProgram(path)] : []
    const inside = ['', 'bin', 'usr/bin'].flatMap(folder => family.programs.map(name => join(path, folder, name)))
    return inside.filter(isProgram).slice(0, 1)
  })
  if (found.length > 0) return [...new Set(found)]
  throw new RestoreError('tool_missing', `there is no ${family.programs.join(' or ')} in ${given.join(' and ')}`)
}

function expanded(path: string): string[] {
  if (basename(path) !== '*') return [path]
  const folder = dirname(path)
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .sort()
    .map(name => join(folder, name))
}

/** The family of the only tool installed; the metadata must agree after extract. */
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
const CLIENTS = { 'mariadb-backup': ['mariadb', 'mysql'], xtrabackup: ['mysql', 'mariadb'] } as const
const SERVER_VERSION_WITHIN_MS = 10_000

/**
 * The server of the start check or of binlogs: the first one on PATH that may start on data of `dataVersion` (null: not
 * known yet).
 * Throws `tool_missing` where there is none, `tool_version` where none fits.
 */
export function serverProgram(family: FamilyName, dataVersion: string | null, option = '--start-check'): string {
  const misfits: string[] = []
  for (const path of new Set(SERVERS[family].flatMap(name => findPrograms(name, serverEnv())))) {
    const { stdout = '' } = spawnSync(path, ['--no-defaults', '--version'], {
      encoding: 'utf8',
      timeout: SERVER_VERSION_WITHIN_MS,
      env: toolEnv(),
    })
    if (!isServerOf(family, stdout)) continue
    const misfit = serverMisfit(stdout, dataVersion)
    if (misfit === null) return path
    misfits.push(`${path}: ${misfit}`)
  }
  if (misfits.length === 0) throw notOnPath(SERVERS[family], option)
  throw new RestoreError('tool_version', `no server for ${option} fits the backup: ${misfits.join('; ')}`, {
    hint: `put a ${family === 'xtrabackup' ? 'mysqld' : 'mariadbd'} of the backup's series on PATH, or leave ${option} out`,
  })
}

/** The SQL client for the start check. Throws `tool_missing`. */
export function clientProgram(family: FamilyName): string {
  const [path] = CLIENTS[family].flatMap(name => findPrograms(name, serverEnv()))
  if (path === undefined) throw notOnPath(CLIENTS[family], '--start-check')
  return path
}

/** Debian installs servers in /usr/sbin, which is not on every user's PATH. */
const serverEnv = () => ({ ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin` })

const notOnPath = ([name]: readonly string[], option: string) =>
  new RestoreError('tool_missing', `${option} needs ${name}, which is not on PATH`, {
    hint: `install it, or leave ${option} out`,
  })
