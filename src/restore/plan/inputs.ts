import { createHash } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type BackupDescription, partialNotice } from '../../backup/backup.ts'
import { checkChain } from '../../backup/chain.ts'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { formatBytes } from '../../format.ts'
import { existingAncestor, freeBytes, isMountPoint, onSameFileSystem } from '../../process/file-system.ts'
import { accessControlNotices, openFilesLimit } from '../../process/host-limits.ts'
import { availableMemory } from '../../process/memory.ts'
import { inspectSource } from '../../source/inspect.ts'
import { checkKeyFile } from '../../source/key-file.ts'
import { openSource } from '../../source/open-source.ts'
import type { Source } from '../../source/source.ts'
import type { SourceRef } from '../../source/source-ref.ts'
import { checkPathLength } from '../../tool/path-length.ts'
import { checkStateRoom } from '../state/state-dir.ts'
import { chooseMemory, makePlan, type PlanParts } from './build-plan.ts'
import {
  checkKey,
  checkUnpackers,
  filterCommands,
  innerKeyOf,
  outsideFiles,
  streamCheckCommand,
} from './describe-backup.ts'
import { findTool, serverProgram } from './find-tool.ts'
import { plannedOwner, plannedRunAs, userCan } from './owner.ts'
import type { Plan } from './plan.ts'
import {
  checkDatadir,
  checkOutside,
  checkOutsideFiles,
  checkSafePaths,
  checkSpace,
  checkTargetDir,
  checkUnshared,
  checkWritable,
} from './prechecks.ts'

export interface PreparedPlan {
  plan: Plan
  parts: PlanParts
  /** One open source per element; the caller closes them. */
  sources: readonly Source[]
  /** What a person should know although the restore can run. */
  notices: readonly string[]
}

/**
 * Inspects the backups, finds a tool that fits, checks rights and room, and makes the plan. Changes nothing. Throws
 * the first reason for which the restore cannot run.
 */
export async function preparePlan(
  options: RestoreOptions,
  restoreId: string,
  scratchDir: string,
): Promise<PreparedPlan> {
  checkDatadir(options.datadir)
  checkStateRoom(options.stateDir)
  const { decryptKeyFile, encryptionKeyFile } = options
  if (decryptKeyFile !== null) checkKeyFile(decryptKeyFile)
  if (encryptionKeyFile !== null) checkKeyFile(encryptionKeyFile, '--encryption-key-file')
  const sources = await openAll(options)
  try {
    if (options.inPlace && sources[0]!.kind !== 'directory')
      throw new RestoreError('usage', `--in-place needs a backup directory, and ${sources[0]!.name} is a stream`, {
        hint: 'leave --in-place out',
      })
    const descriptions = await Promise.all(sources.map(source => describe(source, options, scratchDir)))
    checkChain(descriptions)
    const identities = await Promise.all(sources.map(source => source.identity()))
    const made = descriptions.find(({ family }) => family !== null)?.family ?? null
    const { family, planned: tool, notice } = await findTool(options, made, versionsOf(descriptions))
    if (options.rollbackPreparedTrx && family.family !== 'xtrabackup')
      throw new RestoreError('usage', `--rollback-prepared-trx is for xtrabackup, and this restore uses ${tool.path}`, {
        hint: 'end the transactions on the restored server: XA RECOVER, then XA COMMIT or XA ROLLBACK',
      })
    const notices = notice === null ? [] : [notice]
    notices.push(
      ...descriptions.flatMap(description => [
        ...checkVersion(family, tool.version, description),
        ...[partialNotice(description)].filter(text => text !== null),
      ]),
    )
    const owner = plannedOwner(options)
    const users = plannedUsers(options, owner, tool, sources[0]!.ref)
    if (users.notice !== null) notices.push(users.notice)
    const { runAs } = users.parts
    if (runAs !== null && encryptionKeyFile !== null && !userCan(runAs, '-r', encryptionKeyFile))
      throw new RestoreError(
        'not_permitted',
        `the owner ${owner!.name} may not read the key file ${encryptionKeyFile}`,
        {
          hint: 'prepare runs as the owner: let that user read the file, or give --run-tools-as agent',
        },
      )
    const parts: PlanParts = {
      ...users.parts,
      options,
      restoreId,
      filters: filterCommands(options, scratchDir),
      streamCheck: streamCheckCommand(),
      innerKey: innerKeyOf(options.decryptKeyFile),
      parallel: threadsOf(options),
      family,
      tool,
      memory: chooseMemory(options.memory, availableMemory(), family.memoryFloorBytes, descriptions[0]!, null),
      owner,
      moveBack: null,
      binlogs: null,
      look: null,
      server: null,
      elements: descriptions.map((description, index) => ({
        name: description.name,
        source: sources[index]!.ref,
        identity: identities[index]!,
        description,
        extracted: null,
        ...innerKeyFileOf(sources[index]!, scratchDir),
      })),
    }
    parts.server = plannedServer(parts)
    const plan = makePlan(parts)
    checkUnpackers(plan)
    notices.push(...checkPaths(plan), ...openFilesNotice(descriptions), ...accessControlNotices(plan.datadir))
    for (const { ref } of sources)
      if (ref.kind === 'directory') checkOutsideFiles(await outsideFiles(ref.path), plan, options)
    if (plan.inPlace) await checkUnshared(plan.targetDir)
    return { plan, parts, sources, notices }
  } catch (error) {
    await closeAll(sources)
    throw error
  }
}

/** Which user the tools run as, and a notice where they keep root's rights. */
export function plannedUsers(
  { datadir, targetDir, inPlace, decryptKeyFile, runToolsAs }: RestoreOptions,
  owner: Plan['owner'],
  { path, extractor }: Plan['tool'],
  first: SourceRef,
): { parts: Pick<PlanParts, 'runAs' | 'keyIsReadable' | 'ownsDatadir'>; notice: string | null } {
  const ownerOf = (directory: string) => statSync(directory, { throwIfNoEntry: false })?.uid
  const directories = [dirname(datadir), ...(targetDir === null ? [] : [dirname(targetDir)])].map(existingAncestor)
  const { runAs, reason } = plannedRunAs(runToolsAs === 'owner' ? owner : null, {
    programs: [path, extractor],
    directories,
  })
  // A directory that is prepared in place keeps its owner.
  const isForeign = inPlace && first.kind === 'directory' && ownerOf(first.path) !== owner?.uid
  const found = ownerOf(datadir)
  return {
    parts: {
      runAs: isForeign ? null : runAs,
      keyIsReadable: runAs === null || decryptKeyFile === null || userCan(runAs, '-r', decryptKeyFile),
      ownsDatadir: found === undefined || found === owner?.uid,
    },
    notice: reason === null ? null : `tools run as root: ${reason}`,
  }
}

/**
 * The server of the start check and of binlogs. It never runs as root: throws `usage` where no other owner is known.
 * Also throws `tool_missing`, `tool_version`, and `binlog_unsupported` for binlogs of MySQL: only MariaDB's applier is
 * driven yet.
 */
export function plannedServer({
  options: { startCheck, binlogs, datadir },
  restoreId,
  family: { family },
  owner,
  elements,
}: Pick<PlanParts, 'options' | 'restoreId' | 'family' | 'owner' | 'elements'>): PlanParts['server'] {
  if (!startCheck && binlogs === null) return null
  if (binlogs !== null && family !== 'mariadb-backup')
    throw new RestoreError('binlog_unsupported', '--binlogs cannot be applied to a backup of xtrabackup yet', {
      hint: 'restore without --binlogs, then apply them with mysqlbinlog from the position that the summary names',
    })
  const option = binlogs === null ? '--start-check' : '--binlogs'
  const isRoot = process.getuid?.() === 0
  if (isRoot && (owner === null || owner.uid === 0))
    throw new RestoreError('usage', `${option} would run a server as root: ${datadir} is to belong to root`, {
      hint: 'name the user of the server with --owner USER:GROUP',
    })
  const dataVersion = elements.at(-1)!.description.serverVersion
  // The path must be short enough for a socket, reachable by the server's user, and writable by no other user.
  const isShort = (place: string) => existsSync(place) && place.length <= MOST_SOCKET_PLACE_BYTES
  const parent = [isRoot ? '/run' : tmpdir(), '/tmp'].find(isShort) ?? '/tmp'
  return {
    program: serverProgram(family, dataVersion, option),
    directory: join(parent, `restore-agent-${restoreId}`),
    runAs: isRoot && owner !== null ? owner : null,
  }
}

/** A socket's path may have 107 bytes; `/restore-agent-<id>/socket` follows the place. */
const MOST_SOCKET_PLACE_BYTES = 40

async function openAll(options: RestoreOptions): Promise<Source[]> {
  const opened: Source[] = []
  try {
    for (const ref of options.sources) opened.push(await openSource(ref, options))
    return opened
  } catch (error) {
    await closeAll(opened)
    throw error
  }
}

export const closeAll = (sources: readonly Source[]) => Promise.all(sources.map(source => source.close()))

const innerKeyFileOf = (source: Source, scratchDir: string): { innerKeyFile?: string } =>
  source.kind === 'stream' && source.innerKey
    ? {
        innerKeyFile: join(
          scratchDir,
          `inner-key-${createHash('sha256').update(source.name).digest('hex').slice(0, 12)}`,
        ),
      }
    : {}

/** Inspects a source. Throws the problem that its bytes show, and as `checkKey` does. */
export async function describe(
  source: Source,
  options: RestoreOptions,
  scratchDir: string,
): Promise<BackupDescription> {
  const description = await inspectSource(source, {
    filters: filterCommands(options, scratchDir),
    keyFile: options.decryptKeyFile,
    full: false,
  })
  const { problem } = description
  if (problem)
    throw new RestoreError(problem.code, problem.message, { lastWords: problem.lastWords, hint: problem.hint })
  if (source.kind === 'stream' && source.innerKey) source.innerKey()
  else checkKey(description, options.decryptKeyFile)
  return description
}

/** Throws `tool_version`; returns warnings. */
export function checkVersion(
  family: PlanParts['family'],
  toolVersion: string,
  description: BackupDescription,
): string[] {
  const verdict = family.versionFits(toolVersion, {
    tool: description.toolVersion,
    server: description.serverVersion,
  })
  // A packed stream tells its version only at its end: it is checked again after extract.
  if (description.toolVersion === null && description.complete === null) return []
  if (!verdict.fits) throw new RestoreError('tool_version', `${description.name}: ${verdict.reason}`)
  return verdict.warning ? [verdict.warning] : []
}

/** The versions of the newest element that names any: a tool that can prepare it can prepare those before it. */
function versionsOf(descriptions: readonly BackupDescription[]): { tool: string | null; server: string | null } {
  const said = descriptions.findLast(({ toolVersion, serverVersion }) => toolVersion !== null || serverVersion !== null)
  return { tool: said?.toolVersion ?? null, server: said?.serverVersion ?? null }
}

/** A notice where the backup has more files than a tool may open: prepare opens one per tablespace. */
function openFilesNotice(descriptions: readonly BackupDescription[]): string[] {
  const { hard } = openFilesLimit()
  const files = Math.max(...descriptions.map(description => description.files ?? 0))
  if (files < hard) return []
  return [
    `the backup has ${files} files, and a tool may open ${hard} at once (ulimit -n, LimitNOFILE): prepare may fail`,
  ]
}

/** Rights and room in every directory that the restore writes to; returns notices. */
function checkPaths(plan: Plan): string[] {
  for (const { description, directory } of plan.elements) {
    checkPathLength(plan.datadir, 'the datadir', description.longestNameBytes)
    checkPathLength(directory, 'the target dir')
  }
  checkWritable(plan.datadir, 'the datadir')
  for (const { source } of plan.elements)
    if (source.kind === 'directory') checkOutside(source.path, plan.targetDir, plan.datadir)
  checkSafePaths([plan.datadir, plan.targetDir], plan.runAs)
  const sameFileSystem = onSameFileSystem(plan.targetDir, plan.datadir)
  const room = { bytes: totalBytes(plan), leastBytes: leastBytes(plan) }
  const needs = []
  if (!plan.inPlace) {
    checkWritable(plan.targetDir, 'the target dir')
    for (const { directory } of plan.elements) checkTargetDir(directory, plan.datadir)
    needs.push({ path: plan.targetDir, what: 'the target dir', ...room })
  }
  if (!sameFileSystem) needs.push({ path: plan.datadir, what: 'the datadir', ...room })
  return [...checkSpace(needs), ...(sameFileSystem ? [] : [otherFileSystem(plan)])]
}

function totalBytes(plan: Plan): number | null {
  let sum = 0
  for (const { description } of plan.elements) {
    if (description.dataBytes === null) return null
    sum += description.dataBytes
  }
  return sum
}

/**
 * The files of a stream take at least this share of its stored size: base64 around gpg adds a third, all else
 * shrinks.
 */
const LEAST_OF_STORED = 0.7

function leastBytes(plan: Plan): number {
  const known = plan.elements.map(({ description: { dataBytes, storedBytes } }) =>
    Math.floor(dataBytes ?? (storedBytes ?? 0) * LEAST_OF_STORED),
  )
  return known.reduce((sum, bytes) => sum + bytes, 0)
}

/** A notice: by default the target dir is beside the datadir, and move-back a rename. */
function otherFileSystem({ datadir, targetDir, inPlace }: Plan): string {
  const copies = 'so move-back copies every file'
  if (inPlace) return `${targetDir} and the datadir ${datadir} are on different file systems, ${copies}`
  const free = `${formatBytes(freeBytes(targetDir))} are free for it`
  const advice = isMountPoint(datadir)
    ? 'name a --target-dir with room for the whole backup, or a directory below the mount point as the datadir'
    : 'it needs room for the whole backup; a --target-dir beside the datadir makes move-back a rename'
  return `the target dir ${targetDir} is not on the file system of the datadir ${datadir}, ${copies}; ${free}: ${advice}`
}

export const threadsOf = ({ parallel }: Pick<RestoreOptions, 'parallel'>): number => parallel ?? availableParallelism()
