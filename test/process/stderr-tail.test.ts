import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, closeSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { holePath } from '../../src/process/cap-file.ts'
import type { Line } from '../../src/process/line-splitter.ts'
import { type BatchInfo, type FollowOptions, followStderr } from '../../src/process/stderr-tail.ts'
import { scratch } from '../support/scratch.ts'
import { until } from '../support/until.ts'
import { countDescriptors, fixture } from './fixture.ts'

const MiB = 1024 * 1024

function emptyLog(): string {
  const path = join(scratch(), 'tool.stderr')
  writeFileSync(path, '')
  return path
}

/** Starts a tool that writes numbered lines to the log as fast as it is told. */
function flood(path: string, lines: number, linesPerSecond: number): Promise<unknown> {
  const fd = openSync(path, 'a')
  const tool = spawn(process.execPath, [fixture('flood.mjs'), String(lines), String(linesPerSecond)], {
    stdio: ['ignore', 'ignore', fd],
  })
  closeSync(fd)
  return once(tool, 'exit')
}

/** The number of a flood's line; NaN for anything else, such as two halves. */
const numberOf = (line: Line) => Number(/^line (\d{8}) x{105}$/.exec(line.text)?.[1] ?? 'NaN')

async function readAgain(path: string, options: FollowOptions = {}): Promise<Line[]> {
  const lines: Line[] = []
  const follower = followStderr(path, batch => lines.push(...batch), options)
  await follower.stop()
  return lines
}

describe('followStderr', () => {
  test('hands over lines as they come, and where it stands', async () => {
    const path = emptyLog()
    const before = countDescriptors()
    const batches: { lines: Line[]; info: BatchInfo }[] = []
    const follower = followStderr(path, (lines, info) => batches.push({ lines, info }))
    appendFileSync(path, 'one\ntwo\n')
    await until(() => batches.length === 1, 'two lines')
    appendFileSync(path, 'three\nfour')
    await follower.stop()
    await follower.stop()
    const lines = batches.flatMap(batch => batch.lines)
    expect(lines.filter(line => line.complete).map(line => line.text)).toEqual(['one', 'two', 'three', 'four'])
    expect(batches[0]!.info).toEqual({ lineStart: 8 })
    expect(batches.at(-1)!.info).toEqual({ lineStart: 14 })
    expect(batches.every(batch => batch.lines.length > 0)).toBe(true)
    expect(countDescriptors()).toBeLessThanOrEqual(before)
  })

  test('offers the open line without waiting for its end', async () => {
    const path = emptyLog()
    let seen: Line[] = []
    const follower = followStderr(path, lines => {
      seen = lines
    })
    for (const text of ['Progress: 1', 'Progress: 1 2', 'Progress: 1 2 3']) {
      appendFileSync(path, text.slice(seen[0]?.text.length ?? 0))
      await until(() => seen[0]?.text === text, 'the open line')
      expect(seen).toEqual([{ text, complete: false }])
    }
    appendFileSync(path, '\n')
    await follower.stop()
    expect(seen).toEqual([{ text: 'Progress: 1 2 3', complete: true }])
  })

  test('a failure of the listener is not lost', async () => {
    const path = emptyLog()
    const before = countDescriptors()
    const follower = followStderr(path, () => {
      throw new Error('listener')
    })
    appendFileSync(path, 'line\n')
    await sleep(250)
    await expect(follower.stop()).rejects.toThrow('listener')
    expect(countDescriptors()).toBeLessThanOrEqual(before)
    expect(() => followStderr(join(path, 'none'), () => {})).toThrow(expect.objectContaining({ name: 'RestoreError' }))
  })
})

describe('a flood', () => {
  test('100,000 lines a second for 3 s: every line once, memory flat, event loop free', async () => {
    const path = emptyLog()
    const delay = monitorEventLoopDelay({ resolution: 5 })
    let next = 0
    let outOfOrder = 0
    const before = memoryInUse()
    const rssBefore = process.memoryUsage.rss()
    let rssHighest = 0
    delay.enable()
    const follower = followStderr(path, lines => {
      for (const line of lines) if (line.complete && numberOf(line) !== next++) outOfOrder++
      rssHighest = Math.max(rssHighest, process.memoryUsage.rss())
    })
    await flood(path, 300_000, 100_000)
    await follower.stop()
    delay.disable()
    expect([next, outOfOrder]).toEqual([300_000, 0])
    expect(statSync(path).size).toBe(36_000_000)
    expect((memoryInUse() - before) / MiB).toBeLessThan(4)
    expect((rssHighest - rssBefore) / MiB).toBeLessThan(120)
    expect(delay.percentile(50) / 1e6).toBeLessThan(100)
  })

  test('above the cap the middle is freed while the tool writes on; who reads it again sees whole lines', async () => {
    const path = emptyLog()
    const keepBytes = 300_000 // neither a multiple of a line nor of a read
    const options = { capBytes: 4 * MiB, keepBytes, intervalMs: 20 }
    let next = 0
    let outOfOrder = 0
    let largest = 0
    const follower = followStderr(
      path,
      lines => {
        for (const line of lines) if (line.complete && numberOf(line) !== next++) outOfOrder++
        largest = Math.max(largest, statSync(path).blocks * 512)
      },
      options,
    )
    await flood(path, 250_000, 150_000)
    await follower.stop()
    expect([next, outOfOrder]).toEqual([250_000, 0])
    expect(statSync(path).size).toBe(30_000_000)
    expect(largest).toBeLessThan(10 * MiB)
    expect(statSync(path).blocks * 512).toBeLessThan(5 * MiB)

    const again = await readAgain(path, options)
    const numbers = again.map(numberOf)
    expect(numbers.every((number, i) => i === 0 || number > numbers[i - 1]!)).toBe(true)
    expect([numbers[0], numbers.at(-1)]).toEqual([0, 249_999])
    const gaps = numbers.filter((number, i) => i > 0 && number !== numbers[i - 1]! + 1)
    expect(gaps).toHaveLength(1)
    expect(gaps[0]! * 120).toBeLessThan(30_000_000 - keepBytes)

    const [start, end] = readFileSync(holePath(path), 'latin1').split(' ').map(Number)
    expect(start).toBeGreaterThanOrEqual(keepBytes)
    expect(end).toBe(gaps[0]! * 120)

    appendFileSync(path, 'after\n')
    expect((await readAgain(path, options)).map(line => line.text)).toEqual([...again.map(line => line.text), 'after'])
    rmSync(holePath(path))
    expect((await readAgain(path)).map(line => line.text)).toEqual([...again.map(line => line.text), 'after'])
  })

  test('a line without end is freed too', async () => {
    const path = emptyLog()
    let whole: Line[] = []
    const keepWhole = (lines: Line[]) => {
      whole = lines.filter(line => line.complete)
    }
    const follower = followStderr(path, keepWhole, { capBytes: 2 * MiB, keepBytes: MiB / 4, intervalMs: 20 })
    for (let i = 0; i < 10; i++) {
      appendFileSync(path, 'x'.repeat(MiB))
      await sleep(40)
    }
    await follower.stop()
    expect(statSync(path).blocks * 512).toBeLessThan(4 * MiB)
    expect(whole.map(line => line.text)).toEqual(['x'.repeat(64 * 1024)])
  })
})

function memoryInUse(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
