/**
 * How much memory a tool may use: what the machine has available without swapping, or less under a cgroup limit.
 *
 * The limits of all cgroups on the path to the root apply. A cgroup's usage includes page cache that the kernel drops
 * under memory pressure: that part counts as available. In a container the path in /proc/self/cgroup may be the
 * host's and not exist here: then the nearest ancestor that exists counts, which is the container's own cgroup,
 * mounted as the root.
 */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { RestoreError } from '../errors.ts'

export interface AvailableMemory {
  bytes: number
  /** The limit that applies, for people: `MemAvailable` or `memory.max of cgroup /system.slice/x.service`. */
  reason: string
}

export interface MemoryRoots {
  procRoot?: string
  cgroupRoot?: string
}

interface CgroupFiles {
  limits: readonly string[]
  usage: string
  /** Keys of memory.stat that the kernel can reclaim. */
  reclaimable: readonly string[]
}

const V2: CgroupFiles = {
  limits: ['memory.max', 'memory.high'], // above memory.high the kernel throttles
  usage: 'memory.current',
  reclaimable: ['active_file', 'inactive_file', 'slab_reclaimable'],
}
const V1: CgroupFiles = {
  limits: ['memory.limit_in_bytes'],
  usage: 'memory.usage_in_bytes',
  reclaimable: ['total_active_file', 'total_inactive_file'],
}

/** The smallest of all limits, in bytes, at least 0. Throws `memory` where /proc lacks it (kernel before 3.14). */
export function availableMemory({
  procRoot = '/proc',
  cgroupRoot = '/sys/fs/cgroup',
}: MemoryRoots = {}): AvailableMemory {
  const meminfo = read(join(procRoot, 'meminfo'))
  const kiB = /^MemAvailable:\s+(\d+) kB$/m.exec(meminfo ?? '')?.[1]
  if (kiB === undefined) throw new RestoreError('memory', `${procRoot}/meminfo has no MemAvailable`)
  const machine = { bytes: Number(kiB) * 1024, reason: 'MemAvailable' }
  const memberships = (read(join(procRoot, 'self/cgroup')) ?? '').split('\n').filter(Boolean)
  const limits = memberships.flatMap(line => limitsOf(line, cgroupRoot))
  return [machine, ...limits].reduce((least, limit) => (limit.bytes < least.bytes ? limit : least))
}

/** A line is `0::/path` for v2 and `7:memory:/path` for v1. Where both are mounted, one of them controls memory. */
function limitsOf(membership: string, cgroupRoot: string): AvailableMemory[] {
  const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(membership) ?? []
  if (controllers === undefined || path === undefined) return []
  if (controllers === '') return pathUp(path).flatMap(group => limitsIn(cgroupRoot, group, V2))
  if (!controllers.split(',').includes('memory')) return []
  return pathUp(path).flatMap(group => limitsIn(join(cgroupRoot, 'memory'), group, V1))
}

/** From the group up to the root. Of a path outside the cgroup namespace (`/../x`) only the root is visible. */
function pathUp(path: string): string[] {
  const up = path.startsWith('/..') ? '/' : path
  return up === '/' ? ['/'] : [up, ...pathUp(dirname(up))]
}

function limitsIn(root: string, group: string, files: CgroupFiles): AvailableMemory[] {
  const readIn = (file: string) => read(join(root, group, file))
  const usage = readIn(files.usage)
  if (usage === null) return []
  const stat = readIn('memory.stat') ?? ''
  const reclaimable = files.reclaimable.map(key => Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0))
  const used = Math.max(
    0,
    reclaimable.reduce((rest, bytes) => rest - bytes, Number(usage)),
  )
  return files.limits.flatMap(file => {
    const limit = Number(readIn(file) ?? 'max') // `max` is NaN: no limit; v1 writes 2^63 instead
    return Number.isNaN(limit) ? [] : [{ bytes: Math.max(0, limit - used), reason: `${file} of cgroup ${group}` }]
  })
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'EACCES' || code === 'EOPNOTSUPP') return null
    throw error
  }
}
