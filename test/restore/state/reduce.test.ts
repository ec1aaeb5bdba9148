import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ErrorCode, RestoreError } from '../../../src/errors.ts'
import type { Plan } from '../../../src/restore/plan/plan.ts'
import { reduce } from '../../../src/restore/state/reduce.ts'
import type { EndedSpan, RestoreEvent, RestoreState } from '../../../src/restore/state/state.ts'
import { emptyLedger } from '../../../src/restore/state/state-schema.ts'
import { resumed } from '../../support/resumed.ts'
import { runOf } from '../../support/runs.ts'
import { samplePlan, sampleState, sampleTool, T0 } from '../../support/samples.ts'

type Timeless = RestoreEvent extends infer E ? (E extends { atMs: number } ? Omit<E, 'atMs'> : never) : never

/** Runs events a second apart; gives the last state and every span that ended on the way. */
function run(events: readonly Timeless[], from = sampleState()) {
  const ended: EndedSpan[] = [...from.endedSpans]
  let state = from
  for (const [index, event] of events.entries()) {
    state = reduce(state, { ...event, atMs: T0 + 1000 * (index + 1) } as RestoreEvent)
    ended.push(...state.endedSpans)
  }
  return { state, ended }
}

const failed = (code: ErrorCode) => new RestoreError(code, 'it failed').record
const lines = (events: Extract<RestoreEvent, { type: 'tool_lines' }>['events']): Timeless => ({
  type: 'tool_lines',
  position: 1,
  id: sampleTool().id,
  tool: 'mariadb-backup',
  readOffset: 10,
  events,
  lines: [],
  count: events.length,
  dropped: 0,
})

const PREPARING: readonly Timeless[] = [
  { type: 'attempt_started' },
  { type: 'phase_started', phase: 'getting_backup_info', position: 0 },
  { type: 'planned', plan: samplePlan() },
  { type: 'phase_ended', error: null },
  { type: 'phase_started', phase: 'preparing_backup', position: 1 },
  { type: 'tool_started', position: 1, tool: sampleTool(), attributes: {} },
]

const names = (spans: readonly { name: string }[]) => spans.map(span => span.name)

describe('spans', () => {
  test('are a tree: restore, attempt, phase, and the tool in it', () => {
    const { state } = run(PREPARING)
    const [outcome, attempt, phase, tool] = state.spans
    const [root] = sampleState().endedSpans
    expect(names(state.spans)).toEqual(['restore outcome', 'attempt', 'preparing_backup', 'mariadb-backup'])
    expect(root).toMatchObject({ kind: 'restore', parentId: null, startedAtMs: T0, endedAtMs: T0 + 1 })
    expect(outcome!.parentId).toBe(root!.id)
    expect(attempt!.parentId).toBe(root!.id)
    expect(phase!.parentId).toBe(attempt!.id)
    expect(tool!).toMatchObject({ parentId: phase!.id, id: sampleTool().spanId })
  })

  test('one for each binlog; those passed between two readings of the position have that time in common', () => {
    const file = (name: string, from: number, to: number, transactions: number) => ({ name, from, to, transactions })
    const files = [file('b.1', 500, 700, 3), file('b.2', 4, 104, 2), file('b.3', 4, 54, 1), file('b.4', 4, 104, 4)]
    const plan = { ...samplePlan(), binlogs: { files, bytes: 450, transactions: 10 } as unknown as Plan['binlogs'] }
    const applied = (bytes: number): Timeless => ({
      type: 'applied',
      applied: { bytes, transactions: 0, dataAsOfMs: null },
    })
    const begun: Timeless[] = [
      { type: 'attempt_started' },
      { type: 'planned', plan },
      { type: 'phase_started', phase: 'applying_binlogs', position: 1 }, // second 3
    ]
    const seen = ({ ended }: ReturnType<typeof run>) =>
      ended
        .filter(({ kind }) => kind === 'binlog')
        .map(({ name, attributes, startedAtMs, endedAtMs, error }) => [
          `${name} ${attributes['restore.binlog.file']}`,
          attributes['restore.binlog.transactions'],
          attributes['restore.binlog.bytes'],
          (startedAtMs - T0) / 1000,
          (endedAtMs - T0) / 1000,
          error?.code,
        ])
    const rest: Timeless[] = [applied(0), applied(199), applied(200), applied(360), applied(450)]
    const whole = run([...begun, ...rest])
    expect(seen(whole)).toEqual([
      ['binlog apply b.1', 3, 200, 3, 6, undefined],
      ['binlog apply b.2', 2, 100, 5, 7, undefined],
      ['binlog apply b.3', 1, 50, 6, 7, undefined],
      ['binlog apply b.4', 4, 100, 6, 8, undefined],
    ])
    const phase = whole.state.spans.find(({ kind }) => kind === 'phase')!
    expect(whole.ended.filter(({ kind }) => kind === 'binlog').every(({ parentId }) => parentId === phase.id)).toBe(
      true,
    )
    expect(whole.state.spans.some(({ kind }) => kind === 'binlog')).toBe(false)

    // A server that was killed goes back a little; a failure ends the span of the file in which it was.
    const error = failed('binlog_apply_failed')
    const failing = run([...begun, applied(210), applied(190), applied(220), { type: 'phase_ended', error }])
    expect(seen(failing)).toEqual([
      ['binlog apply b.1', 3, 200, 3, 4, undefined],
      ['binlog apply b.2', undefined, undefined, 3, 7, 'binlog_apply_failed'],
    ])
    // The next attempt begins in that file: those before it have their spans.
    const again = [{ type: 'attempt_ended', error }, ...begun, applied(220), applied(300)] as Timeless[]
    const { ended } = run(again, { ...failing.state, endedSpans: [] })
    expect(seen({ ...failing, ended }).map(span => span.slice(0, 3))).toEqual([['binlog apply b.2', 2, 100]])
  })

  test('of the caller: the root hangs under it', () => {
    const { trace } = sampleState()
    const identity = sampleState({ trace: { ...trace, parentSpanId: 'b7ad6b7169203331' }, spans: [] })
    expect(reduce(identity, { type: 'attempt_started', atMs: T0 }).spans[0]!.parentId).toBe('b7ad6b7169203331')
  })

  test('of steps begin when the tool’s lines show them, and end one another', () => {
    const { state, ended } = run([
      ...PREPARING,
      lines([{ type: 'checkpoint', lsn: 1_000_000 }]),
      lines([{ type: 'redo_scanned', lsn: 1_200_000 }]),
      lines([{ type: 'end_of_log', lsn: 1_500_000 }]),
      lines([{ type: 'pages_left', pages: 100, lsn: null, endLsn: null }]),
      lines([{ type: 'completed_ok' }]),
      { type: 'step_started', step: 'move_back' },
    ])
    expect(names(ended).filter(name => name.startsWith('redo'))).toContain('redo_scan')
    const scan = ended.find(span => span.name === 'redo_scan')!
    expect(scan.parentId).toBe(state.spans.find(span => span.kind === 'phase')!.id)
    expect(scan.attributes).toMatchObject({ 'restore.phase': 'preparing_backup', 'restore.step': 'redo_scan' })
    expect(ended.find(span => span.name === 'redo_apply')?.attributes).toMatchObject({ 'restore.step.pages': 100 })
  })

  test('of a step name its own files: not those the tool copies when the database is shut down', () => {
    const file = { type: 'file_started', file: 'x.frm' } as const
    const { ended } = run([
      ...PREPARING,
      lines([
        { type: 'delta_apply', file: 'a.delta' },
        { type: 'delta_apply', file: 'b.delta' },
      ]),
      lines([{ type: 'delta_apply', file: 'c.delta' }]),
      lines([{ type: 'redo_scanned', lsn: 1_200_000 }]),
      lines([{ type: 'shutdown_started' }]),
      lines([file, file]),
      { type: 'step_started', step: 'move_back' },
      lines([file, file, file, file]),
      { type: 'phase_ended', error: null },
    ])
    const files = ended
      .filter(({ kind }) => kind === 'step')
      .map(({ name, attributes }) => [name, attributes['restore.step.files']])
    expect(files.filter(([, count]) => count !== undefined)).toEqual([
      ['delta_apply', 3],
      ['move_back', 4],
    ])
    expect(files.map(([name]) => name)).toContain('shutdown')
  })

  test('of a failed phase carry its error; the step and the tool in it too', () => {
    const error = failed('disk_full')
    const { state, ended } = run([
      ...PREPARING,
      { type: 'step_started', step: 'move_back' },
      { type: 'phase_ended', error },
      { type: 'attempt_ended', error },
      { type: 'ended', status: 'failed', phase: 'failed', error },
    ])
    expect(state.spans).toEqual([])
    for (const name of ['move_back', 'mariadb-backup', 'preparing_backup', 'attempt', 'restore outcome'])
      expect(ended.find(span => span.name === name)!.error).toMatchObject({ code: 'disk_full' })
    expect(ended.find(span => span.name === 'getting_backup_info')!.error).toBeNull()
    expect(ended.find(span => span.name === 'restore outcome')!.attributes).toMatchObject({
      result: 'failed',
      'db.system.name': 'mariadb',
      'restore.attempts': 1,
    })
  })

  test('of tools say how they ended', () => {
    const { state, ended } = run([
      ...PREPARING,
      { type: 'tool_ended', id: sampleTool().id, exitCode: null, signal: 'SIGKILL', error: failed('tool_killed') },
    ])
    expect(ended.at(-1)).toMatchObject({
      name: 'mariadb-backup',
      attributes: { 'process.exit.signal': 'SIGKILL' },
      error: { code: 'tool_killed' },
    })
    // Its run is not judged yet: a later agent must still find it.
    expect(state.tools).toMatchObject([{ exit: { code: null, signal: 'SIGKILL' } }])
    expect(run([{ type: 'run_finished', run: runOf('1-prepare') }], state).state.tools).toEqual([])
  })

  test('of attempts link to the attempt before', () => {
    const { state, ended } = run([
      { type: 'attempt_started' },
      { type: 'attempt_ended', error: failed('tool_killed') },
      { type: 'attempt_started' },
    ])
    const first = ended.find(span => span.kind === 'attempt')!
    const second = state.spans.find(span => span.kind === 'attempt')!
    expect(second.links).toEqual([{ traceId: state.trace.traceId, spanId: first.id }])
    expect(second.attributes).toEqual({ 'restore.attempt': 2 })
    expect(state.attempt).toBe(2)
  })

  test('of progress follow one another without a gap, at least every 10 %', () => {
    const total = sampleState().source
    expect(total).toEqual({ readBytes: null, totalBytes: null })
    const { ended } = run([
      { type: 'attempt_started' },
      { type: 'planned', plan: samplePlan() },
      { type: 'phase_started', phase: 'restoring_basebackup', position: 1 },
      ...Array.from(
        { length: 20 },
        (_, index): Timeless => ({
          type: 'progress',
          input: { type: 'source', readBytes: 500_000 * (index + 1) },
        }),
      ),
      { type: 'phase_ended', error: null },
    ])
    const spans = ended.filter(span => span.kind === 'progress')
    expect(spans.length).toBeGreaterThanOrEqual(9)
    for (const [index, span] of spans.entries()) {
      if (index === 0) continue
      expect(span.startedAtMs).toBe(spans[index - 1]!.endedAtMs)
      expect(span.attributes['restore.progress.from']).toBe(spans[index - 1]!.attributes['restore.progress.to'])
    }
    expect(spans.at(-1)!.attributes['restore.progress.to']).toBe(100)
  })
})

describe('an element fetched ahead', () => {
  const NOTHING = { cpuSeconds: 1, rcharBytes: 1, readBytes: 1, writeBytes: 1 }
  const read = (position: number, sourceReadBytes: number): Timeless => ({
    type: 'sample',
    position,
    sample: NOTHING,
    lines: 0,
    delta: NOTHING,
    sourceReadBytes,
  })
  const AHEAD: readonly Timeless[] = [
    { type: 'attempt_started' },
    { type: 'planned', plan: samplePlan(3) },
    { type: 'phase_started', phase: 'preparing_backup', position: 1 },
    { type: 'prefetch_started', position: 2 },
    read(2, 4_000_000),
  ]

  test('has bytes of its own, which its span ends with; those of the one in front are not touched', () => {
    const { state, ended } = run([...AHEAD, read(2, 10_000_000), { type: 'prefetch_ended', position: 2, error: null }])
    expect(state.prefetched).toEqual({ position: 2, readBytes: 10_000_000, totalBytes: 10_000_000 })
    expect(state.source.readBytes).toBeNull()
    const span = ended.find(({ name }) => name === 'restoring_basebackup')
    expect(span?.attributes).toMatchObject({
      'restore.chain.position': 2,
      'restore.source.read': 10_000_000,
      'restore.source.size': 10_000_000,
    })
  })

  test('comes to the front with its bytes, in mid-fetch and afterwards', () => {
    const midway = run([
      ...AHEAD,
      { type: 'phase_ended', error: null },
      { type: 'phase_started', phase: 'restoring_basebackup', position: 2 },
    ])
    expect(midway.state).toMatchObject({ prefetched: null, source: { readBytes: 4_000_000, totalBytes: 10_000_000 } })
    const after = run([
      ...AHEAD,
      read(2, 10_000_000),
      { type: 'prefetch_ended', position: 2, error: null },
      { type: 'phase_ended', error: null },
      { type: 'phase_started', phase: 'preparing_backup', position: 2 },
    ])
    expect(after.state).toMatchObject({ prefetched: null, source: { readBytes: 10_000_000, totalBytes: 10_000_000 } })
  })

  test('whose size only a look told: it is not taken for that of the one in front', () => {
    const { state } = run([...AHEAD, { type: 'source_size', position: 2, bytes: 77 }])
    expect(state.prefetched?.totalBytes).toBe(77)
    expect(state.source.totalBytes).toBe(10_000_000)
    const front = run([
      ...AHEAD,
      { type: 'source_size', position: 2, bytes: 77 },
      { type: 'phase_started', phase: 'restoring_basebackup', position: 2 },
    ])
    expect(front.state.source.totalBytes).toBe(77)
  })

  test('of an attempt before says nothing of this one', () => {
    expect(
      run([...AHEAD, { type: 'attempt_ended', error: null }, { type: 'attempt_started' }]).state.prefetched,
    ).toBeNull()
  })
})

describe('a takeover', () => {
  test('with living tools keeps their spans; without, they end as interrupted when the agent was last seen', () => {
    const { state } = run(PREPARING)
    const event = (adopted: boolean) => resumed(state, { adopted, idPrefix: '12345678', atMs: T0 + 60_000 })
    const adopted = reduce(state, event(true))
    expect(names(adopted.spans)).toEqual(names(state.spans))
    expect(adopted.endedSpans).toEqual([])
    const alone = reduce(state, event(false))
    expect(names(alone.spans)).toEqual(['restore outcome'])
    for (const span of alone.endedSpans)
      expect(span).toMatchObject({
        endedAtMs: state.updatedAtMs,
        error: { code: 'interrupted' },
        attributes: { 'restore.agent.pid': 4711 },
      })
    const next = reduce(alone, { type: 'attempt_started', atMs: T0 + 61_000 })
    expect(next.spans.at(-1)!.id).toMatch(/^12345678/)
  })
})

describe('counters', () => {
  test('are kept by phase and only grow', () => {
    const sample = { cpuSeconds: 1, rcharBytes: 5, readBytes: 10, writeBytes: null }
    const { state } = run([
      ...PREPARING,
      { type: 'sample', position: 1, sample, lines: 0, delta: sample, sourceReadBytes: null },
      { type: 'sample', position: 1, sample, lines: 0, delta: sample, sourceReadBytes: null },
      lines([{ type: 'starved' }]),
    ])
    expect(state.counters).toMatchObject({
      ioReadBytes: { preparing_backup: 20 },
      ioWriteBytes: {},
      cpuSeconds: { preparing_backup: 2 },
      lines: { preparing_backup: 1 },
      attempts: 1,
    })
  })

  test('notices keep the newest twenty', () => {
    const { state } = run(Array.from({ length: 25 }, (_, n): Timeless => ({ type: 'notice', text: `n${n}` })))
    expect(state.notices).toHaveLength(20)
    expect(state.notices.at(-1)).toBe('n24')
  })
})

/** Whatever happens in whatever order, and however the clock jumps. */
describe('any sequence of events', () => {
  // Positions lie within the plan, as the coordinator's do.
  const PLAN = samplePlan(3)
  const lsn = fc.integer({ min: 0, max: 3_000_000 })
  const count = fc.integer({ min: 0, max: 10_000 })
  const error = fc.constantFrom(null, failed('disk_full'), failed('source_corrupt'), failed('cancelled'))
  const position = fc.integer({ min: 0, max: 3 })
  const tool = fc.integer({ min: 1, max: 4 })
  const toolOf = (n: number) =>
    sampleTool({ id: `tool-${n}`, spanId: `f00000000000000${n}`, run: runOf(`${n}-extract`) })
  const toolEvent = fc.oneof(
    fc.record({ type: fc.constant('checkpoint' as const), lsn }),
    fc.record({ type: fc.constant('redo_scanned' as const), lsn }),
    fc.record({ type: fc.constant('end_of_log' as const), lsn }),
    fc.record({ type: fc.constant('batch_started' as const), pages: fc.option(count) }),
    fc.record({ type: fc.constant('batch_percent' as const), percent: fc.integer({ min: 0, max: 100 }) }),
    fc.record({ type: fc.constant('pages_left' as const), pages: count, lsn: fc.option(lsn), endLsn: fc.option(lsn) }),
    fc.record({ type: fc.constant('rollback_started' as const), trx: fc.constant('1'), rows: count }),
    fc.record({ type: fc.constant('rollback_percent' as const), percent: fc.integer({ min: 0, max: 100 }) }),
    fc.record({ type: fc.constant('delta_apply' as const), file: fc.constantFrom('a.ibd.delta', 'b.ibd.delta') }),
    fc.constantFrom(
      { type: 'batch_completed' as const },
      { type: 'rollback_completed' as const },
      { type: 'starved' as const },
      { type: 'shutdown_started' as const },
      { type: 'shutdown_completed' as const, lsn: null },
      { type: 'completed_ok' as const },
    ),
  )
  const amount = fc.option(count)
  const sample = fc.record({ cpuSeconds: amount, rcharBytes: amount, readBytes: amount, writeBytes: amount })
  const event: fc.Arbitrary<Timeless> = fc.oneof(
    fc.constant<Timeless>({ type: 'attempt_started' }),
    error.map((error): Timeless => ({ type: 'attempt_ended', error })),
    fc.constant<Timeless>({ type: 'planned', plan: PLAN }),
    fc
      .tuple(fc.constantFrom('getting_backup_info', 'restoring_basebackup', 'preparing_backup', 'finalizing'), position)
      .map(([phase, position]) => ({ type: 'phase_started', phase, position }) as Timeless),
    error.map((error): Timeless => ({ type: 'phase_ended', error })),
    position.map((position): Timeless => ({ type: 'prefetch_started', position })),
    fc.tuple(position, error).map(([position, error]): Timeless => ({ type: 'prefetch_ended', position, error })),
    fc.constantFrom<Timeless>({ type: 'step_started', step: 'move_back' }, { type: 'step_started', step: 'verify' }),
    fc.tuple(tool, error).map(
      ([n, error]): Timeless => ({
        type: 'tool_ended',
        id: `tool-${n}`,
        exitCode: error ? 1 : 0,
        signal: null,
        error,
      }),
    ),
    fc
      .tuple(tool, position, fc.array(toolEvent, { maxLength: 5 }))
      .map(([n, position, events]) => ({ ...lines(events), id: `tool-${n}`, position }) as Timeless),
    fc.tuple(sample, position, fc.option(fc.integer({ min: 0, max: 12_000_000 }))).map(
      ([sample, position, sourceReadBytes]): Timeless => ({
        type: 'sample',
        position,
        sample,
        lines: 0,
        delta: sample,
        sourceReadBytes,
      }),
    ),
    fc
      .tuple(tool, fc.constantFrom('run_begun', 'run_finished'))
      .map(([n, type]) => ({ type, run: runOf(`${n}-extract`) }) as Timeless),
    fc.constant<Timeless>({ type: 'tick' }),
    fc.constantFrom(true, false).map(
      (adopted): Timeless => ({
        type: 'resumed',
        agentPid: 5000,
        bootId: 'boot',
        // Every agent has a prefix of its own; see below.
        idPrefix: '',
        link: null,
        adopted,
        options: sampleState().options,
        plan: PLAN,
        runs: [],
        cleanup: emptyLedger(),
        lastSeenAtMs: T0,
      }),
    ),
  )
  const step = fc.record({ event, elapsedMs: fc.integer({ min: -5000, max: 400_000 }) })
  const sequence = fc.record({
    events: fc.array(step, { maxLength: 60 }),
    tools: fc.uniqueArray(fc.tuple(fc.nat(59), tool), { maxLength: 4, selector: ([, n]) => n }),
    end: error,
  })

  type Input = typeof sequence extends fc.Arbitrary<infer T> ? T : never
  interface Walk {
    states: RestoreState[]
    opened: Map<string, { startedAtMs: number; parentId: string | null }>
    ended: EndedSpan[]
  }

  function walk({ events, tools, end }: Input): Walk {
    let state = sampleState()
    let atMs = T0
    let agents = 1
    const result: Walk = { states: [state], opened: new Map(), ended: [...state.endedSpans] }
    const note = () => {
      for (const span of [...state.spans, ...state.endedSpans]) result.opened.set(span.id, span)
      result.ended.push(...state.endedSpans)
      result.states.push(state)
    }
    note()
    result.ended.length = 1
    const dispatch = (timeless: Timeless) => {
      state = reduce(state, { ...timeless, atMs } as RestoreEvent)
      note()
    }
    for (const [index, { event, elapsedMs }] of events.entries()) {
      atMs += elapsedMs
      for (const [at, n] of tools)
        if (at === index) dispatch({ type: 'tool_started', position: 1, tool: toolOf(n), attributes: {} })
      if (event.type === 'resumed')
        dispatch({
          ...event,
          runs: state.runs,
          cleanup: state.cleanup,
          idPrefix: (++agents).toString(16).padStart(8, '0'),
        })
      else dispatch(event)
    }
    dispatch({ type: 'ended', status: end ? 'failed' : 'succeeded', phase: end ? 'failed' : 'completed', error: end })
    return result
  }

  test('ends every span exactly once, under a parent that exists, with unique ids', () => {
    fc.assert(
      fc.property(sequence, input => {
        const { states, opened, ended } = walk(input)
        expect(states.at(-1)!.spans).toEqual([])
        const ids = ended.map(span => span.id)
        expect(new Set(ids).size).toBe(ids.length)
        expect(new Set(ids)).toEqual(new Set(opened.keys()))
        const known = new Set(ids)
        for (const span of ended) if (span.parentId !== null) expect(known.has(span.parentId)).toBe(true)
        expect(ended.filter(span => span.parentId === null).map(span => span.kind)).toEqual(['restore'])
      }),
      { numRuns: 300 },
    )
  })

  test('never lets a time go back: of the state, within a span, or from a parent to its child', () => {
    fc.assert(
      fc.property(sequence, input => {
        const { states, ended } = walk(input)
        for (const { startedAtMs, endedAtMs } of ended) expect(endedAtMs).toBeGreaterThanOrEqual(startedAtMs)
        for (const { parentId, startedAtMs } of ended)
          expect(startedAtMs).toBeGreaterThanOrEqual(ended.find(span => span.id === parentId)?.startedAtMs ?? 0)
        for (const [index, state] of states.entries())
          if (index > 0) expect(state.updatedAtMs).toBeGreaterThanOrEqual(states[index - 1]!.updatedAtMs)
      }),
      { numRuns: 300 },
    )
  })

  test('keeps percents in 0 to 100, and a state that JSON does not change', () => {
    fc.assert(
      fc.property(sequence, input => {
        const { states } = walk(input)
        for (const { progress } of states)
          for (const percent of [progress.phasePercent, progress.restorePercent, progress.scanPercent])
            if (percent !== null) expect(percent >= 0 && percent <= 100).toBe(true)
        expect(JSON.parse(JSON.stringify(states.at(-1)))).toEqual(states.at(-1))
      }),
      { numRuns: 200 },
    )
  })

  test('is pure: the same events give the same states, and no state is changed afterwards', () => {
    fc.assert(
      fc.property(sequence, input => {
        const first = walk(input)
        const texts = first.states.map(state => JSON.stringify(state))
        const second = walk(input)
        expect(second.states.map(state => JSON.stringify(state))).toEqual(texts)
        expect(first.states.map(state => JSON.stringify(state))).toEqual(texts)
      }),
      { numRuns: 100 },
    )
  })
})
