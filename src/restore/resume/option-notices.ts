import type { RestoreOptions } from '../../config/options.ts'
import { formatDuration, formatIso } from '../../format.ts'
import { nameOfSource } from '../../source/source-ref.ts'
import type { OptionChange, OptionChanges } from './option-changes.ts'

/** What is told of options that an unfinished restore takes, or cannot take, as a person writes them. */
export function optionNotices({ taken, refused }: OptionChanges, adoptedTools: readonly string[]): string[] {
  const keeps =
    adoptedTools.length > 0 && taken.some(({ key }) => OF_TOOLS.has(key))
      ? `; what runs already (${adoptedTools.join(', ')}) keeps what it was started with`
      : ''
  return [
    ...(taken.length > 0 ? [`the restore goes on; now with ${taken.map(withBoth('was')).join(', ')}${keeps}`] : []),
    ...(refused.length > 0
      ? [
          `the restore goes on as it was begun with ${refused.map(withBoth('not')).join(', ')}; to begin anew with ` +
            'the other, cancel it first (Ctrl-C, or DELETE /restore), and start it again',
        ]
      : []),
  ]
}

/** What a tool is started with. */
const OF_TOOLS: ReadonlySet<string> = new Set<keyof RestoreOptions>([
  'memory',
  'parallel',
  'decryptKeyFile',
  'opensslCipher',
])

const withBoth =
  (word: 'was' | 'not') =>
  ({ key, was, asked }: OptionChange): string => {
    const [now, other] = word === 'was' ? [asked, was] : [was, asked]
    return `${nameOf(key)} ${show(key, now)} (${word} ${show(key, other)})`
  }

const NAMES: { readonly [key in keyof RestoreOptions]?: string } = {
  memory: 'use_memory',
  deadlineMs: 'deadline',
  stallTimeoutMs: 'stall_timeout',
  retryDelayMs: 'retry_delay',
}

/** Its key in restore.yaml, which is its flag too. */
const nameOf = (key: keyof RestoreOptions): string =>
  NAMES[key] ?? key.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

function show(key: keyof RestoreOptions, value: OptionChange['was']): string {
  if (value === null) return key === 'deadlineMs' || key === 'decryptKeyFile' ? 'none' : 'default'
  if (key === 'memory') return typeof value === 'number' ? size(value) : String(value)
  if (key === 'deadlineMs') return formatIso(Number(value))
  if (key === 'stallTimeoutMs' || key === 'retryDelayMs') return duration(Number(value))
  if (key === 'prefetch') return value ? 'auto' : 'off'
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  if (typeof value !== 'object') return String(value)
  if (key === 'owner') return Object.values(value).join(':')
  const several =
    key === 'stallThresholds'
      ? Object.entries(value).map(([step, ms]) => `${step}=${duration(Number(ms))}`)
      : (value as RestoreOptions['olderBackups']).map(chain => chain.map(nameOfSource).join(' '))
  return several.join(', ') || 'none'
}

/** As it would be written to mean exactly this. */
function size(bytes: number): string {
  const unit = (['T', 'G', 'M', 'K'] as const).find((_, index) => bytes % 1024 ** (4 - index) === 0)
  return unit === undefined ? String(bytes) : `${bytes / 1024 ** { T: 4, G: 3, M: 2, K: 1 }[unit]}${unit}`
}

const duration = (ms: number): string => (ms % 1000 === 0 ? formatDuration(ms).replace(' ', '') : `${ms}ms`)
