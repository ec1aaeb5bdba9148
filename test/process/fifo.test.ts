import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { RestoreError } from '../../src/errors.ts'
import { openFifo } from '../../src/process/fifo.ts'
import { findProgram } from '../../src/process/find-program.ts'
import { filePosition } from '../../src/process/proc-stat.ts'
import { scratch } from '../support/scratch.ts'
import { countDescriptors } from './fixture.ts'

test('no byte is lost or changed when the second process starts late, 60 times', async () => {
  const dir = scratch()
  const source = join(dir, 'source')
  const data = randomBytes(2_000_000)
  writeFileSync(source, data)
  const expected = createHash('sha256').update(data).digest('hex')
  const before = countDescriptors()
  for (let round = 0; round < 60; round++) {
    const { readFd, writeFd } = openFifo(dir)
    const producer = spawn('cat', [source], { stdio: ['ignore', writeFd, 'ignore'] })
    closeSync(writeFd)
    const produced = once(producer, 'exit')
    await sleep((round * 7) % 41)
    const out = openSync(join(dir, 'out'), 'w')
    const consumer = spawn('sha256sum', [], { stdio: [readFd, out, 'ignore'] })
    closeSync(readFd)
    closeSync(out)
    const [code] = await once(consumer, 'exit')
    expect([(await produced)[0], code]).toEqual([0, 0])
    expect(readFileSync(join(dir, 'out'), 'utf8')).toContain(expected)
  }
  expect(countDescriptors()).toBeLessThanOrEqual(before)
  expect(readdirSync(dir).sort()).toEqual(['out', 'source'])
})

test('is as good, only narrower, without perl', async () => {
  const dir = scratch()
  const path = process.env.PATH
  const tools = scratch()
  writeFileSync(join(tools, 'mkfifo'), `#!/bin/sh\nexec ${findProgram('mkfifo')} "$@"\n`, { mode: 0o755 })
  try {
    process.env.PATH = tools
    const { readFd, writeFd } = openFifo(dir)
    closeSync(readFd)
    closeSync(writeFd)
    process.env.PATH = scratch()
    expect(() => openFifo(dir)).toThrow(expect.objectContaining({ code: 'tool_missing' }))
  } finally {
    process.env.PATH = path
  }
  expect(readdirSync(dir)).toEqual([])
})

test('a folder that cannot hold it is an error of ours', () => {
  expect(() => openFifo('/no/such/folder')).toThrow(RestoreError)
})

test('filePosition is where the child that shares the descriptor has read to', async () => {
  const dir = scratch()
  writeFileSync(join(dir, 'data'), Buffer.alloc(300_000))
  const fd = openSync(join(dir, 'data'), 'r')
  expect(filePosition(fd)).toBe(0)
  await once(spawn('dd', ['bs=1000', 'count=120'], { stdio: [fd, 'ignore', 'ignore'] }), 'exit')
  expect(filePosition(fd)).toBe(120_000)
  await once(spawn('cat', { stdio: [fd, 'ignore', 'ignore'] }), 'exit')
  expect(filePosition(fd)).toBe(300_000)
  closeSync(fd)
})
