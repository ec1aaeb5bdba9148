import { dirname, join, resolve } from 'node:path'
import { RestoreError } from '../errors.ts'
import { isStdin, type SourceRef } from '../source/source-ref.ts'
import { type Finding, findingsOf } from './check.ts'
import { STALL_THRESHOLD_NAMES } from './forms.ts'
import { problemsError, readConfig } from './load.ts'
import {
  complete,
  defaultStateDir,
  fromFolder,
  overriding,
  type RestoreOptions,
  type RestoreSettings,
  type Surroundings,
} from './options.ts'
import { readSmall } from './read-small.ts'
import { readYaml } from './read-yaml.ts'
import { type Address, type HookEvent, type ServeSettings, serveKeysAt, serveSchema } from './serve-schema.ts'
import { suggest } from './suggest.ts'

/**
 * All settings of `serve` with defaults filled in: absolute paths, times in ms. Immutable; a reload makes a new one.
 */
export interface ServeConfig {
  /** The path as given. */
  file: string
  listen: Address
  /** The bearer token that a request must have; null only with a unix socket. */
  token: string | null
  stateDir: string
  onTerm: 'detach' | 'cancel'
  /** How many ended restores are remembered. */
  history: number
  /** Newest first. */
  backups: readonly ServeBackup[]
  hooks: Readonly<Record<HookEvent, readonly Hook[]>>
}

export interface ServeBackup {
  name: string
  settings: RestoreSettings & { source: SourceRef[]; datadir: string }
}

export interface Hook {
  command: readonly string[]
  timeoutMs: number
}

export type ServeSurroundings = Pick<Surroundings, 'cwd' | 'env' | 'isRoot'>

const HOOK_TIMEOUT_MS = 30_000
const SHORTEST_TOKEN = 16

/**
 * serve.yaml, with the token its token_file holds. Throws `config_invalid` with every problem found, each with its
 * place.
 */
export async function loadServeConfig(file: string, surroundings: ServeSurroundings): Promise<ServeConfig> {
  const path = resolve(surroundings.cwd, file)
  const settings = parseServeConfig(await readConfig(path, file), file)
  const folder = dirname(path)
  const tokenFile = settings.token_file === undefined ? null : resolve(folder, settings.token_file)
  const hooks = settings.hooks ?? {}
  const stateDir =
    settings.state_dir === undefined ? defaultStateDir(surroundings) : resolve(folder, settings.state_dir)
  return {
    file,
    listen: listenAddress(settings, folder, stateDir),
    token: tokenFile === null ? null : await readToken(tokenFile),
    stateDir,
    onTerm: settings.on_term ?? 'detach',
    history: settings.history ?? 100,
    backups: (settings.backups ?? []).map(({ name, ...own }) => ({
      name,
      settings: { ...fromFolder(merged(settings.defaults, own), folder) } as ServeBackup['settings'],
    })),
    hooks: {
      phase_change: hooksFrom(hooks.phase_change, folder),
      success: hooksFrom(hooks.success, folder),
      failure: hooksFrom(hooks.failure, folder),
      stall: hooksFrom(hooks.stall, folder),
    },
  }
}

/** By default a socket in the state dir, which only this user may enter. */
export const defaultAddress = (stateDir: string): Address => ({ path: join(stateDir, 'agent.sock'), group: null })

function listenAddress(settings: ServeSettings, folder: string, stateDir: string): Address {
  const { listen, socket_group } = settings
  if (listen === undefined) return defaultAddress(stateDir)
  return 'path' in listen ? { path: resolve(folder, listen.path), group: socket_group ?? null } : listen
}

/** The settings in the text of a serve.yaml; `file` is its name in messages. Throws `config_invalid`. */
export function parseServeConfig(text: string, file: string): ServeSettings {
  const yaml = readYaml(text)
  const result = yaml.isYaml ? serveSchema.safeParse(yaml.data ?? {}) : null
  const findings =
    result === null ? [] : result.success ? contradictions(result.data) : findingsOf(result.error, unknownKey)
  const problems = [...yaml.problems, ...findings.map(yaml.place)].sort((a, b) => a.offset - b.offset)
  if (result?.success && problems.length === 0) return result.data
  throw problemsError(
    'config_invalid',
    problems.map(problem => `${file}:${problem.text}`),
  )
}

/**
 * The options of a restore of this backup that begins now. A deadline such as `6h` counts from now. Without older
 * backups of its own, the backups after it in the list with the same datadir are used. `asked` is what its request says
 * of binlogs.
 */
export function restoreOptions(
  backup: ServeBackup,
  { stateDir, backups }: Pick<ServeConfig, 'stateDir' | 'backups'>,
  surroundings: Surroundings,
  asked: RestoreSettings = {},
): RestoreOptions {
  const { settings } = backup
  const older = backups
    .slice(backups.indexOf(backup) + 1)
    .filter(({ settings: { datadir } }) => datadir === settings.datadir)
    .map(({ settings: { source } }) => source)
  return complete({ older_backups: older, ...overriding(settings, asked), state_dir: stateDir }, surroundings)
}

function merged(defaults: ServeSettings['defaults'], own: Omit<NonNullable<ServeSettings['backups']>[number], 'name'>) {
  const thresholds = { ...defaults?.stall_thresholds, ...own.stall_thresholds }
  return {
    ...overriding<RestoreSettings>(defaults ?? {}, own),
    ...own,
    ...(Object.keys(thresholds).length > 0 && { stall_thresholds: thresholds }),
  }
}

/** Combinations that are wrong although each key is right. */
function contradictions(settings: ServeSettings): Finding[] {
  const found: Finding[] = []
  const at = (path: Finding['path'], message: string) => found.push({ path, onKey: false, message })
  const { listen } = settings
  if (listen !== undefined && !('path' in listen) && settings.token_file === undefined)
    at(['listen'], 'a TCP address needs a token_file; a unix: path needs none')
  if (settings.socket_group !== undefined && (listen === undefined || !('path' in listen)))
    at(['socket_group'], 'needs listen: unix:PATH in a directory that the group may enter')
  const first = new Map<string, number>()
  for (const [index, backup] of (settings.backups ?? []).entries()) {
    const earlier = first.get(backup.name)
    if (earlier !== undefined) at(['backups', index, 'name'], `is the name of backups.${earlier} already`)
    else first.set(backup.name, index)
    if (backup.source === undefined) at(['backups', index], 'source is missing')
    if (backup.source?.some(isStdin))
      at(['backups', index, 'source'], 'must be a path: the agent has no standard input')
    if ((backup.datadir ?? settings.defaults?.datadir) === undefined)
      at(['backups', index], 'datadir is missing, here and in defaults')
    if (backup.in_place && (backup.target_dir ?? settings.defaults?.target_dir) !== undefined)
      at(['backups', index, 'in_place'], 'the source itself becomes the target dir, so there can be no target_dir')
  }
  return found
}

function unknownKey(key: string, path: readonly (string | number)[]): string {
  const inThresholds = path.at(-1) === 'stall_thresholds'
  const near = suggest(key, inThresholds ? STALL_THRESHOLD_NAMES : serveKeysAt(path))
  return `${inThresholds ? 'is no step or phase' : 'unknown key'}${near === null ? '' : ` (did you mean ${near}?)`}`
}

type HookSettings = NonNullable<NonNullable<ServeSettings['hooks']>[HookEvent]>

/** A program with a slash in its name is a path, relative to the file; any other is looked for in PATH. */
const hooksFrom = (hooks: HookSettings | undefined, folder: string): Hook[] =>
  (hooks ?? []).map(({ command: [program, ...args], timeout }) => ({
    command: [program!.includes('/') ? resolve(folder, program!) : program!, ...args],
    timeoutMs: timeout ?? HOOK_TIMEOUT_MS,
  }))

const LARGEST_TOKEN_BYTES = 4096

/** The first line of the file. Errors never show its content. */
export async function readToken(path: string): Promise<string> {
  const refuse = (why: string, cause?: unknown) =>
    new RestoreError('config_invalid', `token_file ${path}: ${why}`, { cause })
  const read = await readSmall(path, 'a token', LARGEST_TOKEN_BYTES)
  if ('why' in read) throw refuse(read.why, read.cause)
  const token = read.bytes.toString().split('\n')[0]!.trim()
  if (token.length < SHORTEST_TOKEN) throw refuse(`must hold a token of at least ${SHORTEST_TOKEN} characters`)
  if (!/^[\x21-\x7e]+$/.test(token)) throw refuse('must hold a token of visible ASCII characters, without blanks')
  return token
}
