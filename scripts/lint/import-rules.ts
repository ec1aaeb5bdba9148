import type { IForbiddenRuleType } from 'dependency-cruiser'

/**
 * Which room (a folder of src, or a file at its top) imports which. The first rooms know nothing of the later ones.
 * `types` lists the rooms of which only types may be imported.
 */
interface Room {
  imports?: string[]
  types?: string[]
  packages?: string[]
  /** Computes only: no import of a module that reads, writes, waits or starts something. */
  pure?: true
}

const WORDS = ['errors.ts', 'phases.ts', 'format.ts', 'secrets.ts']
const RESTORE = ['context.ts', 'state', 'plan/plan.ts', 'plan', 'run', 'steps', 'resume'].map(name => `restore/${name}`)
const FIELD = ['backup', 'layout', 'binlog', 'tool', 'source', 'process', 'progress', 'config']

const ROOMS: Record<string, Room> = {
  'errors.ts': { pure: true },
  'phases.ts': { pure: true },
  'format.ts': { pure: true },
  'secrets.ts': { pure: true },
  backup: { imports: WORDS, pure: true },
  layout: { imports: [...WORDS, 'backup'], packages: ['zod'], pure: true },
  tool: { imports: [...WORDS, 'backup'], pure: true },
  progress: { imports: [...WORDS, 'backup', 'tool'], types: ['process'], pure: true },
  process: { imports: ['errors.ts', 'format.ts'], packages: ['execa'] },
  source: {
    imports: [...WORDS, 'backup', 'layout', 'tool', 'process'],
    packages: ['execa', 'hash-wasm', 'undici', 'zod', 'aws4fetch', '@aws-sdk/', '@smithy/core'],
  },
  binlog: { imports: [...WORDS, 'backup', 'tool', 'process', 'source'], packages: ['execa', 'undici', 'zod'] },
  config: { imports: [...WORDS, 'backup', 'source', 'process', 'binlog'], packages: ['yaml', 'zod'] },
  'restore/context.ts': {
    imports: [...WORDS, ...FIELD],
    types: ['restore/state', 'restore/plan/plan.ts', 'restore/plan', 'restore/run'],
  },
  // The plan's form is part of the state's.
  'restore/plan/plan.ts': { imports: [...WORDS, ...FIELD], packages: ['zod'] },
  'restore/state': {
    imports: [...WORDS, ...FIELD, 'restore/plan/plan.ts'],
    types: ['restore/plan'],
    packages: ['zod'],
  },
  'restore/plan': { imports: [...WORDS, ...FIELD, 'restore/plan/plan.ts', 'restore/state'], packages: ['execa'] },
  'restore/run': {
    imports: [...WORDS, ...FIELD, 'restore/state', 'restore/plan/plan.ts', 'restore/plan', 'restore/context.ts'],
  },
  'restore/steps': { imports: [...WORDS, ...FIELD, ...RESTORE, 'restore'], packages: ['execa'] },
  'restore/resume': { imports: [...WORDS, ...FIELD, ...RESTORE, 'restore'], packages: ['zod'] },
  restore: { imports: [...WORDS, ...FIELD, ...RESTORE] },
  telemetry: { imports: WORDS, types: ['restore/state', 'tool'], packages: ['@opentelemetry/'] },
  server: {
    imports: [...WORDS, ...FIELD, 'restore', ...RESTORE],
    packages: ['zod'],
  },
  'cli/views': {
    imports: [...WORDS],
    types: ['restore/state', 'restore/plan/plan.ts', 'restore/plan', 'progress', 'server', 'backup'],
  },
  cli: {
    imports: [...WORDS, ...FIELD, 'restore', ...RESTORE, 'telemetry', 'server', 'cli/views'],
    packages: ['commander'],
  },
  'main.ts': { imports: ['cli'] },
}

/** Files that compute only, in rooms that do more. */
const PURE_FILES = [
  'binlog/(events|gtid|reader|target|scan|recovery-plan).ts',
  'restore/plan/build-plan.ts',
  'restore/state/reduce[^/]*.ts',
  'restore/state/runs.ts',
  'source/source-ref.ts',
]

/** Of Node's modules, what computes only. Of `node:zlib` that is two functions; the linter sees to the rest. */
const PURE_BUILTINS = ['path', 'util', 'buffer', 'zlib']

export function importRules(): IForbiddenRuleType[] {
  const names = Object.keys(ROOMS)
  const rooms = (list: readonly string[] = []) => list.map(filesOf)
  const rules: IForbiddenRuleType[] = [
    { name: 'no-cycle', from: {}, to: { circular: true } },
    { name: 'resolvable', from: {}, to: { couldNotResolve: true } },
    { name: 'every file has a room', from: { path: '^src/', pathNot: rooms(names) }, to: {} },
    {
      name: 'pure',
      from: { path: [...rooms(names.filter(name => ROOMS[name]?.pure)), ...PURE_FILES.map(file => `^src/${file}$`)] },
      to: { dependencyTypes: ['core'], pathNot: `^(?:node:)?(?:${PURE_BUILTINS.join('|')})$` },
    },
  ]
  for (const [name, { imports = [], types = [], packages = [] }] of Object.entries(ROOMS)) {
    const from = { path: filesOf(name) }
    rules.push(
      { name: `direction: ${name}`, from, to: { path: '^src/', pathNot: rooms([name, ...imports, ...types]) } },
      {
        name: `packages: ${name}`,
        from,
        to: { path: 'node_modules/', pathNot: packages.map(one => `node_modules/${one}`) },
      },
    )
    if (types.length > 0)
      rules.push({ name: `types only: ${name}`, from, to: { path: rooms(types), dependencyTypesNot: ['type-only'] } })
  }
  return rules.map(rule => ({ ...rule, severity: 'error' }))
}

/** A pattern for the room's own files; rooms within it are not part of it. */
function filesOf(room: string): string {
  if (room.endsWith('.ts')) return `^src/${room.replace('.', '[.]')}$`
  const inner = Object.keys(ROOMS).filter(name => name.startsWith(`${room}/`))
  const tails = inner.map(name => name.slice(room.length + 1))
  return inner.length === 0 ? `^src/${room}/` : `^src/${room}/(?!(?:${tails.join('|')})(?:/|$))`
}
