import { dirname, resolve } from 'node:path'
import { RestoreError } from '../errors.ts'
import { isStdin } from '../source/source-ref.ts'
import type { StoreSettings } from '../source/store-settings.ts'
import { check, type Finding, MOST_PROBLEMS } from './check.ts'
import {
  complete,
  fromFolder,
  OPTIONS,
  overriding,
  type RestoreKey,
  type RestoreOptions,
  type RestoreSettings,
  type Surroundings,
} from './options.ts'
import { readSmall } from './read-small.ts'
import { readYaml } from './read-yaml.ts'

/** Larger files are certainly no restore.yaml. */
const LARGEST_CONFIG_BYTES = 1024 * 1024

/**
 * Flags as typed, by the key of restore.yaml. Absent flags have no key: a default filled in by the argument parser
 * would hide the file's value. `stall_thresholds` is a list of `step=duration`.
 */
export type RestoreFlags = Readonly<Partial<Record<RestoreKey, string | boolean | readonly string[] | undefined>>>

/**
 * Flags and, where named, restore.yaml to the options of a restore; flags win. A relative path is relative to the file
 * that says it, in a flag to the working directory. Throws `usage` for flags and what is missing, `config_invalid` for
 * the file, each with every problem found; the first is the message, and all stand in `lastWords` when there are more.
 */
export async function loadRestoreOptions(
  flags: RestoreFlags,
  configFile: string | null,
  surroundings: Surroundings,
): Promise<RestoreOptions> {
  const fromFlags = fromFolder(checkFlags(flags), surroundings.cwd)
  const fromFile = configFile === null ? {} : await loadConfig(configFile, surroundings.cwd)
  const settings = overriding<RestoreSettings>(fromFile, fromFlags)
  const { source, datadir } = settings

  const problems: string[] = []
  const orInFile = (key: string) => (configFile === null ? '' : `, or ${key} in ${configFile}`)
  if (source === undefined) problems.push(`SOURCE: missing; give the backup to restore${orInFile('source')}`)
  if (datadir === undefined)
    problems.push(`--datadir: missing; give the directory to restore into${orInFile('datadir')}`)
  if (settings.in_place && settings.target_dir !== undefined) {
    problems.push('--in-place: the source itself becomes the target dir, so there can be no --target-dir')
  }
  if (source !== undefined && source.length > 1 && source.some(isStdin)) {
    problems.push('SOURCE: standard input (-) can only be the one and only source')
  }
  if (source === undefined || datadir === undefined || problems.length > 0) throw problemsError('usage', problems)
  return complete({ ...settings, source, datadir }, surroundings)
}

/** Options of stores from flags alone, for commands other than `restore`. Throws `usage`. */
export function loadStoreSettings(flags: RestoreFlags, cwd: string): StoreSettings {
  const given = fromFolder(checkFlags(flags), cwd)
  return {
    s3Endpoint: given.s3_endpoint ?? null,
    s3Region: given.s3_region ?? null,
    s3Addressing: given.s3_addressing ?? 'auto',
    s3RequesterPays: given.s3_requester_pays ?? false,
    s3SseKeyFile: given.s3_sse_key_file ?? null,
    decryptKeyFile: given.decrypt_key_file ?? null,
  }
}

/** The settings of one restore.yaml, paths absolute. Throws `config_invalid`. */
export async function loadConfig(file: string, cwd: string): Promise<RestoreSettings> {
  const path = resolve(cwd, file)
  return fromFolder(parseConfig(await readConfig(path, file), file), dirname(path))
}

/** The settings in the text of a restore.yaml; `file` is its name in messages. Throws `config_invalid`. */
export function parseConfig(text: string, file: string): RestoreSettings {
  const yaml = readYaml(text)
  const { settings, findings } = yaml.isYaml ? check(yaml.data ?? {}) : { settings: null, findings: [] }
  const problems = [...yaml.problems, ...(findings ?? []).map(yaml.place)].sort((a, b) => a.offset - b.offset)
  if (settings !== null && problems.length === 0) return settings
  throw problemsError(
    'config_invalid',
    problems.map(problem => `${file}:${problem.text}`),
  )
}

function checkFlags(flags: RestoreFlags): RestoreSettings {
  const given: Record<string, unknown> = {}
  const problems: string[] = []
  for (const [key, value] of Object.entries(flags)) {
    if (value === undefined) continue
    if (key === 'stall_thresholds' && Array.isArray(value)) given[key] = Object.fromEntries(value.map(splitAtEquals))
    else given[key] = value
  }
  const { settings, findings } = check(given)
  if (settings !== null) return settings
  for (const finding of findings) problems.push(`${nameOfFlag(finding)}: ${finding.message}`)
  throw problemsError('usage', problems)
}

function splitAtEquals(text: string): [string, string] {
  const at = text.indexOf('=')
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function nameOfFlag({ path, onKey }: Finding): string {
  const key = String(path[0])
  const flag = Object.values(OPTIONS)
    .find(row => row.key === key)
    ?.flag?.split(' ')[0]
  if (flag === undefined) return key === 'source' ? 'SOURCE' : `--${key.replaceAll('_', '-')}`
  return path.length > 1 && !onKey ? `${flag} ${path[1]}` : flag
}

/** The text of a configuration; `file` is its name in messages. Throws `config_invalid`. */
export async function readConfig(path: string, file: string): Promise<string> {
  const read = await readSmall(path, 'a configuration', LARGEST_CONFIG_BYTES)
  if ('why' in read) throw new RestoreError('config_invalid', `${file}: ${read.why}`, { cause: read.cause })
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(read.bytes)
  } catch (cause) {
    throw new RestoreError('config_invalid', `${file}: is not UTF-8 text`, { cause })
  }
}

/** One error for all problems; the first is the message. */
export function problemsError(code: 'usage' | 'config_invalid', problems: readonly string[]): RestoreError {
  const [first, ...others] = problems
  if (others.length === 0) return new RestoreError(code, first!)
  const told = problems.slice(0, MOST_PROBLEMS)
  if (told.length < problems.length) told.push(`and ${problems.length - told.length} more`)
  return new RestoreError(code, `${first} (and ${others.length} more)`, { lastWords: told })
}
