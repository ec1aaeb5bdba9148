import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { moveFile } from '../../../src/process/file-system.ts'
import type { RestoreContext } from '../../../src/restore/context.ts'
import { makePlan } from '../../../src/restore/plan/build-plan.ts'
import { filesToMove, identityOf, recordMovedFiles } from '../../../src/restore/resume/cleanup.ts'
import { repair } from '../../../src/restore/resume/repair.ts'
import type { RestoreState } from '../../../src/restore/state/state.ts'
import { emptyLedger } from '../../../src/restore/state/state-schema.ts'
import { createStore } from '../../../src/restore/state/store.ts'
import type { FamilyName } from '../../../src/tool/tool.ts'
import { begunIn, finishedIn, runsOf } from '../../support/runs.ts'
import { sampleParts, sampleState, T0 } from '../../support/samples.ts'
import { scratch } from '../../support/scratch.ts'

/** A chain of two under way in real directories, with these runs begun and finished. */
function underWay(begun: readonly string[], finished: readonly string[], { tool, ...changes }: Changes = {}) {
  const dir = scratch()
  const options = { datadir: join(dir, 'data'), ...(changes.inPlace && { inPlace: true }) }
  const source = join(dir, 'source')
  const plan = makePlan(
    sampleParts({
      options,
      elements: [
        changes.inPlace ? { source: { kind: 'directory', path: source } } : {},
        { description: { toLsn: 2_000_000 } },
      ],
      ...(tool && { tool }),
    }),
  )
  for (const { directory } of plan.elements) {
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, 'ibdata1'), 'x')
  }
  const { toLsn } = plan.elements[changes.movedOn ? 1 : 0]!.description
  writeFileSync(
    join(plan.targetDir, 'xtrabackup_checkpoints'),
    `backup_type = log-applied\nfrom_lsn = 0\nto_lsn = ${toLsn}\nlast_lsn = ${toLsn}\n`,
  )
  const cleanup = { ...emptyLedger(), created: plan.elements.map(({ directory }) => directory) }
  const state = sampleState({ plan, runs: runsOf(begun, finished), cleanup, ...changes.state?.(dir) })
  const store = createStore(
    state,
    { type: 'restore_started', atMs: T0 },
    {
      observers: [],
      write() {},
      onWriteError() {},
      onObserverError() {},
    },
  )
  const context = { store, now: () => T0, runDir: dir } as Partial<RestoreContext> as RestoreContext
  return { dir, plan, store, context, repaired: () => repair(context) }
}

interface Changes {
  tool?: FamilyName
  inPlace?: boolean
  /** The base's metadata are those of the incremental already. */
  movedOn?: boolean
  state?: (dir: string) => Partial<RestoreState>
}

const PREPARING_INC = [
  ['1-fetch', '1-prepare', '2-fetch', '2-prepare'],
  ['1-fetch', '1-prepare', '2-fetch'],
] as const

test('what was not begun needs no repair', async () => {
  const { store, plan, repaired } = underWay([], [])
  await repaired()
  expect(plan.elements.every(({ directory }) => existsSync(directory))).toBe(true)
  expect(begunIn(store.state)).toEqual([])
})

test('an element that was half brought is brought again', async () => {
  const { store, plan, repaired } = underWay(['1-fetch', '1-extract'], [])
  await repaired()
  expect(existsSync(plan.elements[0]!.directory)).toBe(false)
  expect(existsSync(plan.elements[1]!.directory)).toBe(true)
  expect(begunIn(store.state)).toEqual([])
})

test('a prepare of an incremental that was cut: MariaDB takes that incremental again', async () => {
  const { store, plan, repaired } = underWay(...PREPARING_INC)
  await repaired()
  expect(plan.elements.map(({ directory }) => existsSync(directory))).toEqual([true, false])
  expect(finishedIn(store.state)).toEqual(['1-fetch', '1-prepare'])
})

test.each<[string, Changes]>([
  ['of xtrabackup', { tool: 'xtrabackup' }],
  ['that had come to its very end', { movedOn: true }],
])('one %s: the whole chain begins again', async (_, changes) => {
  const { store, plan, repaired } = underWay(...PREPARING_INC, changes)
  await repaired()
  expect(plan.elements.map(({ directory }) => existsSync(directory))).toEqual([false, false])
  expect(finishedIn(store.state)).toEqual([])
})

test('a prepare in place that was cut: MariaDB does it again, xtrabackup’s is lost', async () => {
  const begun = [['1-fetch', '1-prepare'], ['1-fetch']] as const
  const mariadb = underWay(...begun, { inPlace: true })
  await mariadb.repaired()
  expect(existsSync(mariadb.plan.targetDir)).toBe(true)
  expect(begunIn(mariadb.store.state)).toEqual(['1-fetch'])
  const xtrabackup = underWay(...begun, { inPlace: true, tool: 'xtrabackup' })
  await expect(xtrabackup.repaired()).rejects.toMatchObject({ code: 'not_prepared' })
})

test('a directory that this restore did not make is not removed', async () => {
  const { plan, repaired } = underWay(['1-fetch'], [], { state: () => ({ cleanup: emptyLedger() }) })
  await repaired()
  expect(existsSync(plan.targetDir)).toBe(true)
})

const filling = (dir: string) => fillingAs(dir, null)
const fillingAs = (dir: string, identity: string | null) => ({
  cleanup: {
    created: [],
    partialDatadir: { datadir: join(dir, 'data'), existed: false, identity },
    returnFilesTo: null,
    parents: [],
    removing: false,
  },
})

/** The directory that a move-back was filling when it was cut. */
function halfFilled(dir: string) {
  mkdirSync(join(dir, 'data'))
  writeFileSync(join(dir, 'data/ibdata1'), 'half')
  return fillingAs(dir, identityOf(join(dir, 'data')))
}

test('a move-back that was cut loses its half copies', async () => {
  const { dir, plan, repaired } = underWay(['2-move_back'], [], { state: halfFilled })
  recordMovedFiles(dir, await filesToMove(plan.targetDir, join(dir, 'data')))
  await repaired()
  expect(existsSync(join(dir, 'data/ibdata1'))).toBe(false)
  expect(readFileSync(join(plan.targetDir, 'ibdata1'), 'utf8')).toBe('x')
})

test('a datadir that was only noted is given up, and stays where somebody fills it', async () => {
  const empty = underWay([], [], { state: filling })
  mkdirSync(join(empty.dir, 'data'))
  await empty.repaired()
  expect(existsSync(join(empty.dir, 'data'))).toBe(false)
  expect(empty.store.state.cleanup.partialDatadir).toBeNull()
  const theirs = underWay([], [], { state: filling })
  mkdirSync(join(theirs.dir, 'data'))
  writeFileSync(join(theirs.dir, 'data/mine'), '')
  await theirs.repaired()
  expect(readdirSync(join(theirs.dir, 'data'))).toEqual(['mine'])
})

test('a datadir that somebody changed after the move-back was cut is neither taken on nor emptied', async () => {
  const begun = [['2-move_back'], [], { state: halfFilled }] as const
  const refuses = async ({ dir, store, repaired }: ReturnType<typeof underWay>, code: string) => {
    writeFileSync(join(dir, 'data/mine'), '')
    await expect(repaired()).rejects.toMatchObject({ code })
    expect(store.state.cleanup.partialDatadir).toBeNull() // so that nothing of it is removed as debris
    expect(readdirSync(join(dir, 'data'))).toContain('mine')
  }
  const anew = underWay(...begun)
  rmSync(join(anew.dir, 'data'), { recursive: true })
  mkdirSync(join(anew.dir, 'data'))
  await refuses(anew, 'datadir_not_empty')
  const tidied = underWay(...begun)
  rmSync(tidied.plan.targetDir, { recursive: true })
  await refuses(tidied, 'datadir_not_empty')
  const served = underWay(...begun)
  const file = openSync(join(served.dir, 'data/ibdata1'), 'r')
  const server = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', file] })
  closeSync(file)
  try {
    await once(server, 'spawn')
    await refuses(served, 'server_running')
  } finally {
    server.kill('SIGKILL')
    await once(server, 'exit')
  }
})

test('a file is moved across file systems too', () => {
  const dir = scratch()
  writeFileSync(join(dir, 'file'), 'content')
  const other = join('/dev/shm', `ra-unit-${process.pid}`)
  try {
    moveFile(join(dir, 'file'), join(other, 'below/file'))
    expect(existsSync(join(dir, 'file'))).toBe(false)
    moveFile(join(other, 'below/file'), join(dir, 'back/file'))
    expect(readFileSync(join(dir, 'back/file'), 'utf8')).toBe('content')
    expect(readdirSync(join(other, 'below'))).toEqual([])
  } finally {
    rmSync(other, { recursive: true, force: true })
  }
})

test('a directory consumed in place that was being copied when the machine stopped is not taken for whole', async () => {
  const { repaired } = underWay(['1-fetch', '1-prepare', '1-sync', '2-move_back'], [], { inPlace: true })
  await expect(repaired()).rejects.toMatchObject({ code: 'not_prepared' })
})

test('nothing is removed as long as the state cannot be written', async () => {
  const { plan, store, context } = underWay(...PREPARING_INC, { state: () => ({ bootId: 'b' }) })
  let isFull = true
  const full = createStore(
    store.state,
    { type: 'restore_started', atMs: T0 },
    {
      observers: [],
      write() {
        if (isFull) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
      },
      onWriteError() {},
      onObserverError() {},
    },
  )
  const waiting = repair({ ...context, store: full, signal: new AbortController().signal })
  await new Promise(resolve => setTimeout(resolve, 100))
  expect(plan.elements.every(({ directory }) => existsSync(directory))).toBe(true)
  isFull = false
  await waiting
  expect(plan.elements.map(({ directory }) => existsSync(directory))).toEqual([true, false])
  expect(full.state.notices).toEqual([
    expect.stringMatching(/^waiting up to .* before anything else begins: .*ENOSPC/),
    'the state can be written again',
  ])
})
