import { isIP } from 'node:net'
import { z } from 'zod'
import { choice, duration, parsed, path, text } from './forms.ts'
import { restoreSchema } from './options.ts'

/**
 * The keys of serve.yaml. The options of a restore have the schema of restore.yaml: under `defaults` for every backup,
 * and again in a backup, where they win.
 */

/** Options of the one-shot command only: the daemon has one state dir and no terminal. */
const ONE_SHOT = { state_dir: true, dry_run: true, json: true, quiet: true, color: true } as const
/** Options of a single backup, never of all. */
const ONE_BACKUP = {
  source: true,
  backup: true,
  before: true,
  layout: true,
  in_place: true,
  older_backups: true,
} as const

const defaults = restoreSchema.omit({ ...ONE_SHOT, ...ONE_BACKUP })

const NAME = 'a name of letters, digits and . _ - (128 at most)'
const backup = restoreSchema.omit(ONE_SHOT).extend({
  name: z
    .string({ error: issue => (issue.input === undefined ? 'name is missing' : `must be ${NAME}`) })
    .regex(/^[A-Za-z0-9][\w.-]{0,127}$/, { error: `must be ${NAME}` }),
})

export type Address = TcpAddress | UnixAddress

export interface TcpAddress {
  /** An IP address, without brackets. */
  host: string
  /** 0: any free one. */
  port: number
}

export interface UnixAddress {
  /** Of the socket; relative to the file's folder as parsed, absolute in a ServeConfig. */
  path: string
  /** `socket_group`: the group that may connect, as a name or an id; null for the owner alone. */
  group: string | null
}

/**
 * `unix:/run/restore-agent/agent.sock`, `127.0.0.1:8321`, `[::1]:8321`, `localhost:8321`. Other names are not looked
 * up.
 */
export function parseAddress(value: string): Address | null {
  const socket = /^unix:([^\0]+)$/.exec(value)?.[1]
  if (socket !== undefined) return socket.endsWith('/') ? null : { path: socket, group: null }
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(value)
  if (match === null) return null
  const [, six, other, digits] = match
  const host = other === 'localhost' ? '127.0.0.1' : (six ?? other!)
  const port = Number(digits)
  if (port > 65535 || isIP(host) !== (six === undefined ? 4 : 6) || host.includes('%')) return null
  return { host, port }
}

export const isLoopback = ({ host }: TcpAddress): boolean => host.startsWith('127.') || host === '::1'

export const addressText = (address: Address): string => {
  if ('path' in address) return `unix:${address.path}`
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** As `status --url` takes it. */
export const addressUrl = (address: Address): string =>
  'path' in address ? addressText(address) : `http://${addressText(address)}`

const LISTS = 'must be a list of commands, such as [{command: [/usr/local/bin/tell, done], timeout: 30s}]'
const hook = z.strictObject(
  {
    command: z
      .array(text('a list of words: the program and its arguments'), {
        error: issue =>
          issue.input === undefined ? 'command is missing' : 'must be a list of words: the program and its arguments',
      })
      .min(1, { error: 'must name a program' }),
    timeout: duration.optional(),
  },
  { error: issue => (issue.code === 'invalid_type' ? 'must be a mapping with command and timeout' : undefined) },
)
const hookList = z.array(hook, { error: LISTS }).max(16, { error: 'has more than 16 commands' })
const HISTORY = 'must be a whole number from 1 to 10000'

export const HOOK_EVENTS = ['phase_change', 'success', 'failure', 'stall'] as const
export type HookEvent = (typeof HOOK_EVENTS)[number]

const mapping = {
  error: (issue: { code?: string | undefined }) =>
    issue.code === 'invalid_type' ? 'must be a mapping of keys to values' : undefined,
}

export const serveSchema = z
  .strictObject(
    {
      listen: parsed(
        parseAddress,
        'unix: and a path, or an IP address and a port, such as unix:/run/restore-agent/agent.sock or 127.0.0.1:8321',
      ),
      socket_group: text('the name of a group, or its id'),
      token_file: path,
      state_dir: path,
      on_term: choice(['detach', 'cancel']),
      history: z
        .number({ error: HISTORY })
        .refine(count => Number.isInteger(count) && count >= 1 && count <= 10_000, { error: HISTORY }),
      defaults,
      backups: z
        .array(backup, { error: 'must be a list of backups, the newest first' })
        .max(10_000, { error: 'has more than 10000 backups' }),
      hooks: z
        .strictObject({ phase_change: hookList, success: hookList, failure: hookList, stall: hookList }, mapping)
        .partial(),
    },
    mapping,
  )
  .partial()

export type ServeSettings = z.output<typeof serveSchema>

/** The keys that may stand in the mapping at this path, for suggestions. */
export function serveKeysAt(at: readonly (string | number)[]): readonly string[] {
  const [first, , third] = at
  if (first === undefined) return Object.keys(serveSchema.shape)
  if (first === 'defaults' && at.length === 1) return Object.keys(defaults.shape)
  if (first === 'backups' && at.length === 2) return Object.keys(backup.shape)
  if (first === 'hooks') return third === undefined ? HOOK_EVENTS : Object.keys(hook.shape)
  return []
}
