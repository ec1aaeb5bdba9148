import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { RestoreError } from '../../../src/errors.ts'
import { syncFiles, watchUnwritten } from '../../../src/restore/steps/sync.ts'
import { scratch } from '../../support/scratch.ts'

const none = () => {}
const never = new AbortController().signal

describe('files are brought to the disk', () => {
  let folder: string
  let path: string | undefined
  beforeEach(() => {
    path = process.env.PATH
    folder = scratch()
  })
  afterEach(() => {
    process.env.PATH = path
  })

  /** Puts a `sync` of the test's in front. */
  function standIn(script: string): void {
    mkdirSync(join(folder, 'bin'))
    writeFileSync(join(folder, 'bin/sync'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    process.env.PATH = `${join(folder, 'bin')}:${path}`
  }

  test('by the real one', async () => {
    await expect(syncFiles(folder, never, none)).resolves.toBeUndefined()
  })

  test('once a file system, those of tables with DATA DIRECTORY included', async () => {
    const log = join(folder, 'log')
    standIn(`echo "$@" >> ${log}`)
    const link = (name: string, target: string) => writeFileSync(join(folder, name), target)
    mkdirSync(join(folder, 'app'))
    link('app/near.isl', join(folder, 'app/near.ibd'))
    link('app/far.isl', '/dev/shm/far.ibd')
    link('app/farther.isl', '/dev/shm/farther.ibd')
    link('app/gone.isl', '/nowhere/app/gone.ibd')
    await syncFiles(folder, never, none)
    expect(readFileSync(log, 'utf8')).toBe(`-f ${folder}\n-f /dev/shm\n`)
  })

  test.each([
    ['move_back_failed', 'Input/output error', /the disk failed/],
    ['disk_full', 'No space left on device', /free space/],
  ])('or it is told: %s', async (code, words, hint) => {
    standIn(`echo "sync: error syncing: ${words}" >&2; exit 1`)
    await expect(syncFiles(folder, never, none)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(folder),
      lastWords: [`sync: error syncing: ${words}`],
      hint: expect.stringMatching(hint),
    })
  })

  test('without a sync it is told too', async () => {
    process.env.PATH = folder
    await expect(syncFiles(folder, never, none)).rejects.toMatchObject({
      code: 'move_back_failed',
      message: expect.stringContaining('ENOENT'),
    })
  })

  test('an abort waits for no disk', async () => {
    standIn('trap "" TERM INT; sleep 3')
    const controller = new AbortController()
    const reason = new RestoreError('cancelled', 'Ctrl-C')
    setTimeout(() => controller.abort(reason), 200)
    const startedAtMs = performance.now()
    await expect(syncFiles(folder, controller.signal, none)).rejects.toBe(reason)
    expect(performance.now() - startedAtMs).toBeLessThan(2000)
    await expect(syncFiles(folder, controller.signal, none)).rejects.toBe(reason)
  })
})

test('that fewer bytes wait to be written is evidence; that as many or more do is none', () => {
  vi.useFakeTimers()
  try {
    const readings = [100, 100, 90, 95, 90, 89, 200, 88]
    let moved = 0
    const stop = watchUnwritten(
      () => moved++,
      () => readings.shift()!,
    )
    const seen = Array.from({ length: 7 }, () => {
      vi.advanceTimersByTime(1000)
      return moved
    })
    expect(seen).toEqual([0, 1, 1, 1, 2, 2, 3])
    stop()
    vi.advanceTimersByTime(5000)
    expect(moved).toBe(3)
  } finally {
    vi.useRealTimers()
  }
})
