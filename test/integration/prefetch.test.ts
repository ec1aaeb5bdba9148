import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fingerprint, startServer } from '../../scripts/sample/server.ts'
import { findProgram } from '../../src/process/find-program.ts'
import { attributesOf, pointsOf, type Span, startOtlpReceiver } from '../telemetry/otlp-receiver.ts'
import { type Chain, makeChain } from './make-chain.ts'
import { expectSuccess, processesAt, workspace } from './workspace.ts'

/** The next element of a chain is fetched while this one is prepared. */
const FETCH_SECONDS = 2.5

let folder: string
let chain: Chain
let slowTool: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ra-prefetch-'))
  chain = await makeChain(folder, {
    megabytes: 12,
    fullRedoMegabytes: 5,
    incrementals: 3,
    incrementalRedoMegabytes: 5,
  })
  slowTool = slowTools()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The real tools behind wrappers that take their time: fetching an element lasts about as long as preparing it. */
function slowTools(): string {
  const wrap = (name: string, when: string) => {
    const script = `#!/bin/sh\ncase " $*" in ${when}) sleep ${FETCH_SECONDS};; esac\nexec ${findProgram(name)} "$@"\n`
    writeFileSync(join(folder, name), script, { mode: 0o755 })
  }
  wrap('mbstream', '*')
  wrap('mariadb-backup', "*' --prepare'*")
  symlinkSync(join(folder, 'mariadb-backup'), join(folder, 'mariabackup'))
  return join(folder, 'mariadb-backup')
}

test('takes at most 0.75 of the sequential time, and the trace shows the overlap', { timeout: 120_000 }, async () => {
  const at = workspace()
  const receiver = await startOtlpReceiver()
  try {
    const ended = await at.restore(
      chain.elements.map(({ bare }) => bare),
      {
        args: ['--tool-path', slowTool],
        env: {
          OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
          OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
          OTEL_METRIC_EXPORT_INTERVAL: '500',
        },
      },
    )
    expectSuccess(ended)
    expect(processesAt(at.dir)).toEqual([])

    const server = await startServer(at.datadir, join(folder, 'restored.log'))
    try {
      expect(await fingerprint(server)).toEqual(chain.elements.at(-1)!.truth)
    } finally {
      await server.stop()
    }

    // In one run, because this machine may be busy with something else in another: one after the other, the phases
    // would have taken the sum of their times.
    const phases = receiver.spans().filter(span => attributesOf(span)['restore.phase'] === span.name)
    const span = (name: string, position: number): Span =>
      phases.find(({ name: is, ...rest }) => is === name && attributesOf(rest)['restore.chain.position'] === position)!
    const millis = (nanos: string) => Number(BigInt(nanos) / 1_000_000n)
    const work = phases.filter(({ name }) => name === 'restoring_basebackup' || name === 'preparing_backup')
    expect(work).toHaveLength(8)
    const sequential = work.reduce(
      (sum, { startTimeUnixNano: from, endTimeUnixNano: to }) => sum + millis(to) - millis(from),
      0,
    )
    const took =
      Math.max(...work.map(({ endTimeUnixNano }) => millis(endTimeUnixNano))) -
      Math.min(...work.map(({ startTimeUnixNano }) => millis(startTimeUnixNano)))
    expect(took / sequential).toBeLessThanOrEqual(0.75)

    for (const position of [1, 2, 3]) {
      const prepare = span('preparing_backup', position)
      const next = span('restoring_basebackup', position + 1)
      expect(BigInt(next.startTimeUnixNano)).toBeLessThan(BigInt(prepare.endTimeUnixNano))
      expect(next.parentSpanId).toBe(prepare.parentSpanId)
    }

    // Each element's bytes are seen while it is fetched, ahead or not, and its span has all of them.
    const points = receiver
      .exports()
      .flatMap(metrics => metrics.filter(({ name }) => name === 'restore.source.read').flatMap(pointsOf))
    const seen = new Set(points.map(point => attributesOf(point)['restore.backup']))
    for (const [index, { bare }] of chain.elements.entries()) {
      const { size } = statSync(bare)
      expect(attributesOf(span('restoring_basebackup', index + 1))).toMatchObject({
        'restore.source.read': size,
        'restore.source.size': size,
      })
      expect([...seen]).toContain(bare)
    }
    const ids = receiver.spans().map(({ spanId }) => spanId)
    expect(new Set(ids).size).toBe(ids.length)
  } finally {
    await receiver.close()
  }
})
