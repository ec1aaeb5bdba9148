import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { RestoreState } from '../../src/restore/state/state.ts'
import { startOtlpReceiver } from '../telemetry/otlp-receiver.ts'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { startAgent, workspace } from './workspace.ts'

let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

const receiver = async () => {
  const started = await startOtlpReceiver()
  onTestFinished(() => started.close())
  return started
}
const to = (url: string) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' })
const unsentIds = (state: RestoreState | null) => state?.unsentSpans.map(({ id }) => id) ?? []

const serveYaml = (at: ReturnType<typeof workspace>) => {
  const file = join(at.dir, 'serve.yaml')
  writeFileSync(file, JSON.stringify({ state_dir: at.stateDir }))
  return file
}

describe('spans of a killed agent', { timeout: 180_000 }, () => {
  test('none is lost, and a kill adds at most one copy', async () => {
    const at = workspace()
    const backend = await receiver()
    const env = { ...to(backend.url), OTEL_BSP_SCHEDULE_DELAY: '50' }
    const owed = new Set<string>()
    const seed = Number(process.env.SPAN_SEED ?? Math.floor(Math.random() * 1e6))
    const random = (n: number) => (Math.imul(seed + n, 2_654_435_761) >>> 0) / 2 ** 32
    let kills = 0
    for (let n = 0; n < 8; n++) {
      const agent = at.start([backup.full.zst], { env })
      const isOver = () => agent.child.exitCode !== null
      // From when it has taken the restore over; how long it takes to start depends on the machine.
      while (!isOver() && at.state()?.agentPid !== agent.pid) await sleep(10)
      await sleep(800 * random(n))
      if (isOver()) break
      agent.child.kill('SIGKILL')
      await agent.ended
      kills += 1
      for (const id of unsentIds(at.state())) owed.add(id)
      // Killed after its end: the same command would begin another restore.
      if (at.state()!.status !== 'running') break
    }
    if (at.state()?.status === 'running') expect((await at.restore([backup.full.zst], { env })).code).toBe(0)
    expect(kills, `seed ${seed}`).toBeGreaterThan(0)
    expect(at.state()!.status, `seed ${seed}`).toBe('succeeded')
    if (unsentIds(at.state()).length > 0) await startAgent(['status', '--config', serveYaml(at)], { env }).ended
    for (let tries = 0; unsentIds(at.state()).length > 0 && tries < 100; tries++) await sleep(50)
    expect(unsentIds(at.state())).toEqual([])

    const spans = backend.spans()
    const byId = Map.groupBy(spans, ({ spanId }) => spanId)
    const copies = spans.length - byId.size
    console.log(`seed ${seed}: ${kills} kills, ${byId.size} spans, ${copies} copies`)
    expect([...owed].filter(id => !byId.has(id))).toEqual([])
    const orphans = spans.filter(({ parentSpanId }) => parentSpanId && !byId.has(parentSpanId))
    expect(orphans.map(({ name }) => name)).toEqual([])
    for (const name of ['restore', 'restore outcome', 'restoring_basebackup', 'preparing_backup', 'finalizing'])
      expect(spans.map(span => span.name)).toContain(name)
    expect(copies).toBeLessThanOrEqual(kills)
  })

  const endedUnsent = async () => {
    const at = workspace()
    const away = await receiver()
    away.misbehave('status_500')
    expect((await at.restore([backup.full.prepared], { env: to(away.url) })).code).toBe(0)
    const ids = unsentIds(at.state())
    expect(ids.length).toBeGreaterThan(4)
    const backend = await receiver()
    const arrived = async () => {
      for (let tries = 0; unsentIds(at.state()).length > 0 && tries < 200; tries++) await sleep(50)
      expect(unsentIds(at.state())).toEqual([])
      expect(ids.filter(id => !backend.spans().some(({ spanId }) => spanId === id))).toEqual([])
    }
    return { at, ids, backend, arrived, env: to(backend.url) }
  }
  test('what an ended restore left is exported by status on its state dir, whether an agent answers or not', async () => {
    const { at, arrived, env } = await endedUnsent()
    const { code } = await startAgent(['status', '--config', serveYaml(at)], { env }).ended
    expect(code).toBe(8)
    await arrived()
  })

  test('... by serve', async () => {
    const { at, arrived, env } = await endedUnsent()
    const daemon = startAgent(['serve', '--config', serveYaml(at)], { env })
    await arrived()
    daemon.child.kill('SIGTERM')
    expect((await daemon.ended).code).toBe(0)
  })

  test('... by the next restore, beside its own', async () => {
    const { at, arrived, backend, env } = await endedUnsent()
    const first = at.state()!.trace.traceId
    const other = join(at.dir, 'other')
    mkdirSync(other)
    const { code } = await startAgent(
      ['restore', backup.full.prepared, '--datadir', join(other, 'data'), '--state-dir', at.stateDir],
      { env },
    ).ended
    expect(code).toBe(0)
    await arrived()
    expect(new Set(backend.spans().map(({ traceId }) => traceId))).toEqual(new Set([first, at.state()!.trace.traceId]))
  })
})
