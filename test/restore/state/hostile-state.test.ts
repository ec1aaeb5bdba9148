import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execaSync } from 'execa'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { RestoreError } from '../../../src/errors.ts'
import { createToolLock } from '../../../src/process/lock.ts'
import { bootId, isAlive, readProcStat } from '../../../src/process/proc-stat.ts'
import { makePlan } from '../../../src/restore/plan/build-plan.ts'
import { canAdopt } from '../../../src/restore/resume/resume.ts'
import { startSession } from '../../../src/restore/session.ts'
import { reduce } from '../../../src/restore/state/reduce.ts'
import { checkSavedPaths } from '../../../src/restore/state/saved-paths.ts'
import type { RestoreEvent, RestoreState } from '../../../src/restore/state/state.ts'
import { parseState, readStateFile } from '../../../src/restore/state/state-dir.ts'
import { localPathOf } from '../../../src/source/source-ref.ts'
import { randomTrace } from '../../../src/telemetry/off.ts'
import { resumed } from '../../support/resumed.ts'
import { runOf } from '../../support/runs.ts'
import { sampleOptions, sampleParts, sampleState, sampleTool } from '../../support/samples.ts'
import { scratch } from '../../support/scratch.ts'
import { refs } from '../../support/source-refs.ts'

/** State files that were cut, changed by hand or written with intent: read, taken over, and gone on with. */

/** A running restore of two elements in the middle of its first prepare, all places within a folder. */
function midPrepare(folder: string): RestoreState {
  const stateDir = join(folder, 'state')
  const options = sampleOptions({
    sources: refs(join(folder, 'full.xb'), join(folder, 'inc1.xb')),
    datadir: join(folder, 'data'),
    stateDir,
    retryDelayMs: 1,
  })
  const elements = options.sources.map(source => ({ source }))
  const plan = makePlan({ ...sampleParts({ options, elements, toolVersion: '10.11.19' }), restoreId: 'r1' })
  const tool = sampleTool({
    stderrPath: join(stateDir, 'r1', 'x.stderr'),
    statusPath: join(stateDir, 'r1', 'x.status'),
  })
  const events: RestoreEvent[] = [
    { type: 'attempt_started', atMs: 1 },
    { type: 'planned', atMs: 2, plan },
    { type: 'phase_started', atMs: 3, phase: 'preparing_backup', position: 1 },
    { type: 'run_begun', atMs: 4, run: runOf('1-fetch') },
    { type: 'run_finished', atMs: 5, run: runOf('1-fetch') },
    {
      type: 'cleanup',
      atMs: 6,
      cleanup: { created: [plan.targetDir], partialDatadir: null, returnFilesTo: null, parents: [], removing: false },
    },
    { type: 'run_begun', atMs: 7, run: runOf('1-prepare') },
    { type: 'tool_started', atMs: 8, position: 1, tool, attributes: {} },
  ]
  return events.reduce(reduce, sampleState({ options }))
}

const ODD: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1,
  1.5,
  1e308,
  2 ** 53,
  '',
  '/',
  '..',
  '/etc',
  'x'.repeat(5000),
  '\0',
  '__proto__',
  [],
  [[]],
  [null],
  {},
  { a: { b: [] } },
]

/** Every place in a JSON value, as the keys that lead there. */
function* places(value: unknown, at: readonly string[] = []): Generator<readonly string[]> {
  yield at
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) yield* places(inner, [...at, key])
}

type Change = { place: number; how: 'replace' | 'remove' | 'repeat'; odd: unknown }

const change: fc.Arbitrary<Change> = fc.record({
  place: fc.nat(),
  how: fc.constantFrom('replace' as const, 'remove' as const, 'repeat' as const),
  odd: fc.oneof(fc.constantFrom(...ODD), fc.jsonValue({ maxDepth: 2 })),
})

function changed(state: RestoreState, changes: readonly Change[]): unknown {
  const { endedSpans: _, ...root } = structuredClone(state) as Record<string, unknown> & RestoreState
  for (const { place, how, odd } of changes) {
    const all = [...places(root)].slice(1)
    const path = all[place % all.length]!
    const key = path.at(-1)!
    const holder = path.slice(0, -1).reduce((inner, name) => (inner as Record<string, unknown>)[name], root as unknown)
    const target = holder as Record<string, unknown>
    if (how === 'replace')
      target[key] = structuredClone(odd) // a later change may reach into it
    else if (how === 'remove') delete target[key]
    else if (Array.isArray(holder)) holder.push(structuredClone(target[key]))
  }
  return root
}

/** The state, or null where it was refused as it should be; whatever else is thrown fails the test. */
function read(content: string, stateDir: string): RestoreState | null {
  try {
    const state = parseState(content, join(stateDir, 'state.json'))
    checkSavedPaths(state, stateDir)
    return state
  } catch (error) {
    expect(error).toBeInstanceOf(RestoreError)
    expect(error).toMatchObject({ code: 'state_unreadable', hint: expect.stringMatching(/\S/) })
    expect((error as Error).message).toContain('state.json')
    return null
  }
}

describe('reading', () => {
  test('any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: 'binary' })), text => {
        expect(read(text, '/s')).toBeNull()
      }),
      { numRuns: 2000 },
    )
  })

  test('a state cut anywhere', () => {
    const folder = scratch()
    const text = JSON.stringify(midPrepare(folder))
    expect(read(text, join(folder, 'state'))).not.toBeNull()
    fc.assert(
      fc.property(fc.nat(text.length - 1), end => {
        expect(read(text.slice(0, end), join(folder, 'state'))).toBeNull()
      }),
      { numRuns: 500 },
    )
  })

  test('a changed state is refused, or goes on: taken over, tried again and ended, it leaves no span open', () => {
    const folder = scratch()
    const stateDir = join(folder, 'state')
    mkdirSync(stateDir)
    const base = midPrepare(folder)
    const toolLock = createToolLock(join(stateDir, 'lock'))
    let taken = 0
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), changes => {
        const found = read(JSON.stringify(changed(base, changes)), stateDir)
        if (found === null || found.status !== 'running') return
        taken += 1
        const adopted = canAdopt(found, 'another', toolLock.file())
        const state = reduce(found, resumed(found, { bootId: 'another', adopted }))
        const events: RestoreEvent[] = [
          { type: 'tick', atMs: 10 },
          { type: 'attempt_started', atMs: 11 },
          { type: 'phase_started', atMs: 12, phase: 'restoring_basebackup', position: 1 },
          { type: 'phase_ended', atMs: 13, error: null },
          { type: 'attempt_ended', atMs: 14, error: null },
          { type: 'ended', atMs: 15, status: 'failed', phase: 'failed', error: null },
        ]
        const after = (state.plan === null ? events.filter(({ type }) => !type.startsWith('phase_')) : events).reduce(
          reduce,
          state,
        )
        expect(after).toMatchObject({ status: 'failed', spans: [], tools: [] })
      }),
      { numRuns: 1000 },
    )
    expect(taken).toBeGreaterThan(100)
  })

  test('every key but the few without which nothing is left is back-filled', () => {
    const folder = scratch()
    const { endedSpans: _, ...whole } = midPrepare(folder)
    const needed = Object.keys(whole).filter(key => {
      const { [key as keyof typeof whole]: __, ...older } = whole
      return read(JSON.stringify(older), join(folder, 'state')) === null
    })
    expect(needed).toEqual([
      'schema',
      'restoreId',
      'agentPid',
      'options',
      'startedAtMs',
      'updatedAtMs',
      'status',
      'phase',
      'phaseStartedAtMs',
      'trace',
    ])
  })

  test('what is no file of ours: a FIFO holds nobody up, and what others could have written is not believed', () => {
    const path = join(scratch(), 'state.json')
    const refused = (why: RegExp) =>
      expect(() => readStateFile(path)).toThrow(
        expect.objectContaining({ code: 'state_unreadable', message: expect.stringMatching(why) }),
      )
    execaSync('mkfifo', [path])
    refused(/not a regular file/)
    execaSync('rm', [path])
    writeFileSync(path, JSON.stringify(sampleState()))
    expect(readStateFile(path)).not.toBeNull()
    chmodSync(path, 0o666)
    refused(/written by other users/)
  })
})

describe('a claim that cannot be true is refused', () => {
  const folder = '/somewhere'
  test.each<[what: string, (state: RestoreState) => object]>([
    [
      'the root is to be removed',
      () => ({ cleanup: { created: ['/'], partialDatadir: null, returnFilesTo: null, parents: [], removing: false } }),
    ],
    [
      'a stranger is to be removed',
      () => ({
        cleanup: { created: ['/etc'], partialDatadir: null, returnFilesTo: null, parents: [], removing: false },
      }),
    ],
    [
      'the source is to be removed',
      ({ options }) => ({
        cleanup: {
          created: [localPathOf(options.sources[0]!)],
          partialDatadir: null,
          returnFilesTo: null,
          parents: [],
          removing: false,
        },
      }),
    ],
    [
      'a path that climbs is to be removed',
      ({ plan }) => ({
        cleanup: {
          created: [`${plan!.targetDir}/../data`],
          partialDatadir: null,
          returnFilesTo: null,
          parents: [],
          removing: false,
        },
      }),
    ],
    [
      'another directory is being filled',
      () => ({
        cleanup: {
          created: [],
          partialDatadir: { datadir: '/etc', existed: true, identity: '1:1' },
          returnFilesTo: null,
          parents: [],
          removing: false,
        },
      }),
    ],
    [
      'an empty folder of somebody is to be removed',
      () => ({
        cleanup: { created: [], partialDatadir: null, returnFilesTo: null, parents: ['/srv/empty'], removing: false },
      }),
    ],
    [
      'files go to a stranger',
      () => ({ cleanup: { created: [], partialDatadir: null, returnFilesTo: '/etc', parents: [], removing: false } }),
    ],
    ['the target dir is the root', ({ options }) => ({ options: { ...options, targetDir: '/' } })],
    ['the target dir holds the state dir', ({ options }) => ({ options: { ...options, targetDir: folder } })],
    ['the datadir holds the state dir', ({ options }) => ({ options: { ...options, datadir: folder } })],
    ['it is of another state dir', ({ options }) => ({ options: { ...options, stateDir: '/other' } })],
    ['the plan extracts elsewhere', ({ plan }) => ({ plan: { ...plan, targetDir: '/etc' } })],
    ['the plan is for another datadir', ({ plan }) => ({ plan: { ...plan, datadir: '/etc' } })],
    ['the plan consumes its source', ({ plan }) => ({ plan: { ...plan, inPlace: true } })],
    [
      'an element lies elsewhere',
      ({ plan }) => ({ plan: { ...plan, elements: [plan!.elements[0], { ...plan!.elements[1], directory: '/etc' }] } }),
    ],
    ['the plan runs another program', ({ plan }) => ({ plan: { ...plan, tool: { ...plan!.tool, path: '/bin/sh' } } })],
    ['the plan extracts by another', ({ plan }) => ({ plan: { ...plan, tool: { ...plan!.tool, extractor: 'sh' } } })],
    [
      'the plan runs another program than the one that was named',
      ({ options }) => ({ options: { ...options, toolPath: '/opt/bin/mariadb-backup' } }),
    ],
    ['the plan is of another chain', ({ plan }) => ({ plan: { ...plan, elements: plan!.elements.slice(0, 1) } })],
    ['the element at work is beyond the chain', () => ({ position: 3 })],
    ['an older backup that is not there', () => ({ backupIndex: 1 })],
    ['a group that its leader does not lead', ({ tools }) => ({ tools: [{ ...tools[0], pgid: 4713 }] })],
    ['another file to follow', ({ tools }) => ({ tools: [{ ...tools[0], stderrPath: '/var/log/syslog' }] })],
    ['another file to read', ({ tools }) => ({ tools: [{ ...tools[0], statusPath: '/somewhere/state/r1/../x' }] })],
    ['a span under itself', ({ spans }) => ({ spans: spans.map(span => ({ ...span, parentId: span.id })) })],
    ['two spans of one id', ({ spans }) => ({ spans: [...spans, spans[0]] })],
  ])('%s', (_, changes) => {
    const state = midPrepare(folder)
    const stateDir = join(folder, 'state')
    expect(read(JSON.stringify(state), stateDir)).not.toBeNull()
    expect(read(JSON.stringify({ ...state, ...changes(state) }), stateDir)).toBeNull()
  })
})

describe('going on', () => {
  const surroundings = {
    observers: [],
    beginTrace: () => ({ trace: randomTrace(), link: null }),
    childEnv: () => ({}),
    warn: () => {},
  }

  const write = (state: unknown, stateDir: string) => {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    writeFileSync(join(stateDir, 'state.json'), JSON.stringify(state), { mode: 0o600 })
  }

  test('a session on a changed state is refused or ends in a terminal state, and touches nothing else', async () => {
    const folder = scratch()
    mkdirSync(join(folder, 'neighbour'))
    writeFileSync(join(folder, 'neighbour/file'), 'of somebody else')
    let round = 0
    let ended = 0
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async changes => {
        const home = join(folder, `round${++round}`)
        const state = midPrepare(home)
        write(changed(state, changes), state.options.stateDir)
        try {
          const session = await startSession(state.options, surroundings)
          const final = await session.done
          expect(final).toMatchObject({ status: expect.stringMatching(/^(succeeded|failed|cancelled)$/), spans: [] })
          expect(final.error?.code, final.error?.message).not.toBe('internal')
          ended += 1
        } catch (error) {
          expect(error).toBeInstanceOf(RestoreError)
          // key_missing: a state that says that the backup is encrypted, and no key is given.
          expect((error as RestoreError).code).toMatch(/^(state_unreadable|unfinished|key_missing)$/)
        }
        expect(readFileSync(join(folder, 'neighbour/file'), 'utf8')).toBe('of somebody else')
        expect(readdirSync(home).filter(name => name !== 'state')).toEqual([])
      }),
      { numRuns: 150 },
    )
    expect(ended).toBeGreaterThan(10)
  }, 120_000)

  test('a process that is not ours is neither waited for nor signalled, whatever the state says', async () => {
    const folder = scratch()
    const state = midPrepare(folder)
    const { stateDir } = state.options
    const stranger = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' })
    const gone = once(stranger, 'exit')
    onTestFinished(async () => {
      stranger.kill('SIGKILL')
      await gone
    })
    const pid = stranger.pid!
    const startTicks = readProcStat(pid)!.startTicks
    for (const claimed of [startTicks, startTicks + 1]) {
      const tool = { ...state.tools[0]!, pid, pgid: pid, startTicks: claimed }
      write({ ...state, bootId: bootId(), tools: [tool] }, stateDir)
      const session = await startSession(state.options, surroundings)
      session.kill()
      await session.done
      expect(isAlive(pid, startTicks)).toBe(true)
    }
    expect(existsSync(dirname(stateDir))).toBe(true)
  })
})
