import { mkdirSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { availableMemory } from '../../src/process/memory.ts'
import { scratch } from '../support/scratch.ts'

const GiB = 1024 ** 3
const MEMINFO = `MemTotal: ${(16 * GiB) / 1024} kB\nMemFree: 1000 kB\nMemAvailable:   ${(8 * GiB) / 1024} kB\n`

/** A machine with 8 GiB available and the given files below /proc (`proc/…`) and /sys/fs/cgroup (`cgroup/…`). */
function machine(files: Record<string, string | number>) {
  const root = scratch()
  for (const [path, content] of Object.entries({ 'proc/meminfo': MEMINFO, ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), `${content}\n`)
  }
  return availableMemory({ procRoot: join(root, 'proc'), cgroupRoot: join(root, 'cgroup') })
}

test('without cgroups, what the kernel says is available', () => {
  expect(machine({})).toEqual({ bytes: 8 * GiB, reason: 'MemAvailable' })
  expect(machine({ 'proc/self/cgroup': '0::/user.slice' })).toEqual({ bytes: 8 * GiB, reason: 'MemAvailable' })
})

test('v2: the limit less what is used, the reclaimable cache given back', () => {
  const group = 'cgroup/system.slice/r.service'
  const files = {
    'proc/self/cgroup': '0::/system.slice/r.service',
    [`${group}/memory.max`]: 4 * GiB,
    [`${group}/memory.high`]: 'max',
    [`${group}/memory.current`]: 3 * GiB,
    [`${group}/memory.stat`]: `anon ${GiB}\nactive_file ${GiB}\ninactive_file ${GiB / 2}\nslab_reclaimable ${GiB / 4}`,
  }
  expect(machine(files)).toEqual({ bytes: 2.75 * GiB, reason: 'memory.max of cgroup /system.slice/r.service' })
  expect(machine({ ...files, [`${group}/memory.high`]: 2 * GiB })).toEqual({
    bytes: 0.75 * GiB,
    reason: 'memory.high of cgroup /system.slice/r.service',
  })
})

test('v2: a limit further up binds, one that does not bind is not named', () => {
  const files = {
    'proc/self/cgroup': '0::/a/b/c',
    'cgroup/a/b/c/memory.max': 100 * GiB,
    'cgroup/a/b/c/memory.current': 0,
    'cgroup/a/b/memory.max': 'max',
    'cgroup/a/b/memory.current': 0,
    'cgroup/a/memory.max': 2 * GiB,
    'cgroup/a/memory.current': 3 * GiB,
  }
  expect(machine(files)).toEqual({ bytes: 0, reason: 'memory.max of cgroup /a' })
  expect(machine({ ...files, 'cgroup/a/memory.max': 'max' })).toEqual({ bytes: 8 * GiB, reason: 'MemAvailable' })
})

test('in a container: its own cgroup is the root, whatever path it is told', () => {
  const files = { 'cgroup/memory.max': 2 * GiB, 'cgroup/memory.current': GiB }
  for (const path of ['/', '/docker/4f2a', '/../../outside']) {
    const available = machine({ ...files, 'proc/self/cgroup': `0::${path}` })
    expect(available).toEqual({ bytes: GiB, reason: 'memory.max of cgroup /' })
  }
})

test('v1, alone and beside v2', () => {
  const files = {
    'cgroup/memory/job/memory.limit_in_bytes': 3 * GiB,
    'cgroup/memory/job/memory.usage_in_bytes': 2 * GiB,
    'cgroup/memory/job/memory.stat': `total_inactive_file ${GiB / 2}\ninactive_file 7`,
    'cgroup/memory/memory.limit_in_bytes': 9_223_372_036_854_772_000,
    'cgroup/memory/memory.usage_in_bytes': 2 * GiB,
  }
  const expected = { bytes: 1.5 * GiB, reason: 'memory.limit_in_bytes of cgroup /job' }
  expect(machine({ ...files, 'proc/self/cgroup': '7:memory:/job\n3:cpu,cpuacct:/job' })).toEqual(expected)
  expect(machine({ ...files, 'proc/self/cgroup': '7:blkio,memory:/job\n0::/job' })).toEqual(expected)
})

test('a kernel that does not say', () => {
  expect(() => machine({ 'proc/meminfo': 'MemTotal: 1 kB' })).toThrow(expect.objectContaining({ code: 'memory' }))
})

test('this machine', () => {
  const { bytes, reason } = availableMemory()
  expect(bytes).toBeGreaterThan(0)
  expect(bytes).toBeLessThanOrEqual(totalmem())
  expect(reason).toMatch(/^(MemAvailable|memory\..*)$/)
})
