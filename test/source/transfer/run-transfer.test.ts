import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { expect, test } from 'vitest'
import type { TransferJob } from '../../../src/source/transfer/job.ts'
import { readProgress } from '../../../src/source/transfer/progress-file.ts'
import { runTransfer } from '../../../src/source/transfer/run-transfer.ts'
import { etagOf, rangeServer } from '../../support/range-server.ts'
import { scratch } from '../../support/scratch.ts'

const CONTENT = randomBytes(24_000_000)

test('a tool that takes bytes slowly costs no listener for each wait', async () => {
  const server = await rangeServer(CONTENT)
  const progressPath = join(scratch(), 'progress')
  const job: TransferJob = {
    name: 'the backup',
    access: { kind: 'http', url: server.url },
    pin: { etag: etagOf(CONTENT), lastModified: null, size: CONTENT.length },
    ranged: true,
    checksum: { algorithm: 'sha256', value: createHash('sha256').update(CONTENT).digest('base64') },
    progressPath,
    maxBandwidth: null,
    idleMs: null,
    patienceMs: null,
  }
  const hash = createHash('sha256')
  let most = 0
  let waits = 0
  const output = new Writable({
    highWaterMark: 1,
    write(piece, _encoding, done) {
      hash.update(piece)
      waits += 1
      most = Math.max(most, output.listenerCount('close'), output.listenerCount('error'))
      setImmediate(done)
    },
  })
  expect(await runTransfer(Readable.from([Buffer.from(JSON.stringify(job))]), output)).toBe(true)
  expect(hash.digest('base64')).toBe(job.checksum!.value)
  expect(waits).toBeGreaterThan(12)
  expect(most).toBeLessThan(5)
  expect(readProgress(progressPath)).toMatchObject({ writtenBytes: CONTENT.length, checksums: { verified: 1 } })
})
