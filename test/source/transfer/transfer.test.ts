import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { openAccess, openDispatcher } from '../../../src/source/transfer/access.ts'
import { requestRange } from '../../../src/source/transfer/http-object.ts'
import { newStats } from '../../../src/source/transfer/stats.ts'
import { type TransferOptions, transfer } from '../../../src/source/transfer/transfer.ts'
import { etagOf, type Fault, type RangeServer, rangeServer } from '../../support/range-server.ts'
import { seededRandom } from '../../support/seeded-random.ts'

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const CONTENT = randomBytes(3_000_000)
const FAST: Partial<TransferOptions> = { windowBytes: 200_000, idleMs: 1500, patienceMs: 10_000 }

/** What comes of a whole transfer that begins while the server is well. */
async function transferred(server: RangeServer, options: Partial<TransferOptions> = {}, slowMs = 0) {
  const object = openAccess('the backup', { kind: 'http', url: server.url }, await openDispatcher(17))
  onTestFinished(() => object.dispatcher.destroy())
  const fault = server.fault
  server.fault = () => ({ kind: 'ok' })
  const first = await requestRange(object, { start: 0, end: 1000 }, null, AbortSignal.timeout(5000))
  first.body.destroy()
  server.requests.length = 0
  server.fault = fault
  const stats = newStats()
  const pieces: Buffer[] = []
  const range = { start: 0, end: Number.POSITIVE_INFINITY }
  const all = transfer(object, { range, pin: first.pin, ranged: first.ranged, ...FAST, ...options }, stats)
  for await (const piece of all) {
    pieces.push(piece)
    if (slowMs > 0) await sleep(slowMs)
  }
  return { bytes: Buffer.concat(pieces), stats }
}

test('all bytes come in order through several windows', async () => {
  const server = await rangeServer(CONTENT)
  const { bytes, stats } = await transferred(server)
  expect(sha(bytes)).toBe(sha(CONTENT))
  expect(server.requests).toHaveLength(15)
  expect(stats.retries).toEqual({})
})

test('a server that closes every connection, while the tool is slow, costs no byte and no retry', async () => {
  const server = await rangeServer(CONTENT)
  server.headers = content => ({ etag: etagOf(content), connection: 'close' })
  // A little more than is buffered of a reply that nobody reads: it is paused where the connection ends.
  const { bytes, stats } = await transferred(server, { windows: 3, windowBytes: (1 << 20) + 10_000 }, 30)
  expect(sha(bytes)).toBe(sha(CONTENT))
  expect(stats.retries).toEqual({})
})

const ONCE: Record<string, [Fault, string]> = {
  'a reset': [{ kind: 'reset' }, 'reset'],
  'a cut body': [{ kind: 'cut', after: 70_001 }, 'reset'],
  'a stalled body': [{ kind: 'stall', after: 5000 }, 'idle'],
  'no reply': [{ kind: 'silent' }, 'idle'],
  'a 500': [{ kind: 'status', status: 500 }, '500'],
  'a 503': [{ kind: 'status', status: 503, headers: { 'retry-after': '0' } }, '503'],
  'a 403': [{ kind: 'status', status: 403 }, 'source_denied'],
  'a range that is too short': [{ kind: 'short_range' }, 'short'],
  'another range': [{ kind: 'wrong_range' }, 'wrong_range'],
}

test.each(Object.entries(ONCE))('%s is asked for again, and the bytes are right', async (_, [fault, type]) => {
  const server = await rangeServer(CONTENT)
  server.fault = index => (index === 3 ? fault : { kind: 'ok' })
  const { bytes, stats } = await transferred(server)
  expect(sha(bytes)).toBe(sha(CONTENT))
  expect(stats.retries).toEqual({ [type]: 1 })
  expect(stats.failedRequests).toMatchObject([{ number: 1, type }])
})

test('a cut costs only the bytes that are missing', async () => {
  const server = await rangeServer(CONTENT)
  server.fault = index => (index === 0 ? { kind: 'cut', after: 100_000 } : { kind: 'ok' })
  await transferred(server)
  const again = server.requests.find(range => range.endsWith('-199999') && range !== 'bytes=0-199999')
  expect(Number(/=(\d+)-/.exec(again!)![1])).toBeGreaterThan(0)
})

test('a reply of the whole object to a request for a range costs no retry', async () => {
  const server = await rangeServer(CONTENT)
  server.fault = index => {
    server.ranges = index % 4 !== 3
    return { kind: 'ok' }
  }
  const { bytes, stats } = await transferred(server)
  expect(sha(bytes)).toBe(sha(CONTENT))
  expect(stats.retries).toEqual({})
})

test('a redirect is followed', async () => {
  const server = await rangeServer(CONTENT)
  server.fault = index => (index % 2 === 0 ? { kind: 'redirect' } : { kind: 'ok' })
  expect(sha((await transferred(server)).bytes)).toBe(sha(CONTENT))
})

test.each([
  ['with an ETag', {}],
  ['of the same length, by Last-Modified', { date: true }],
])('an object that is replaced meanwhile %s ends in source_changed', async (_, { date }: { date?: boolean }) => {
  const server = await rangeServer(CONTENT)
  const dates = new Map<Buffer, string>([[CONTENT, 'Mon, 02 Nov 2026 00:00:00 GMT']])
  if (date) server.headers = bytes => ({ 'last-modified': dates.get(bytes) ?? 'Tue, 03 Nov 2026 00:00:00 GMT' })
  server.fault = index => {
    if (index === 12) server.content = randomBytes(CONTENT.length)
    return { kind: 'ok' }
  }
  await expect(transferred(server)).rejects.toMatchObject({ code: 'source_changed' })
})

test('a server without ranges is read by one request, and again from its start after a break', async () => {
  const server = await rangeServer(CONTENT)
  server.ranges = false
  server.fault = index => (index === 0 ? { kind: 'cut', after: 1_000_000 } : { kind: 'ok' })
  const { bytes } = await transferred(server)
  expect(sha(bytes)).toBe(sha(CONTENT))
  expect(server.requests).toHaveLength(2)
})

test('without ETag and date a break ends the transfer, because nothing proves the rest', async () => {
  const server = await rangeServer(CONTENT)
  server.headers = () => ({})
  expect(sha((await transferred(server)).bytes)).toBe(sha(CONTENT))
  expect(server.requests).toHaveLength(1)
  server.fault = () => ({ kind: 'cut', after: 1_000_000 })
  const hint = expect.stringContaining('ETag')
  await expect(transferred(server)).rejects.toMatchObject({ code: 'source_unreachable', hint })
})

test('a server that stays away ends in source_unreachable, within its time', async () => {
  const server = await rangeServer(CONTENT)
  server.fault = index => (index < 5 ? { kind: 'ok' } : { kind: 'status', status: 500 })
  const ended = transferred(server, { patienceMs: 1000 })
  await expect(ended).rejects.toMatchObject({ code: 'source_unreachable' })
})

test('refused for good is source_denied', async () => {
  const server = await rangeServer(CONTENT)
  server.fault = index => (index < 5 ? { kind: 'ok' } : { kind: 'status', status: 403 })
  const ended = transferred(server, { patienceMs: 1000 })
  await expect(ended).rejects.toMatchObject({ code: 'source_denied' })
})

test('windows that nobody reads for long are dropped and asked for again', async () => {
  const server = await rangeServer(CONTENT)
  server.fault = () => ({ kind: 'slow', bytesPerSecond: 2_000_000 })
  const { bytes, stats } = await transferred(server, { staleMs: 100, windows: 4, windowBytes: 400_000 }, 30)
  expect(sha(bytes)).toBe(sha(CONTENT))
  expect(stats.retries).toEqual({})
  expect(server.requests.length).toBeGreaterThan(8)
})

function randomFault(random: () => number): Fault {
  const faults = Object.values(ONCE).map(([fault]) => fault)
  const cut = Math.floor(random() * 200_000)
  const all: Fault[] = [...faults, { kind: 'cut', after: cut }, { kind: 'stall', after: cut }, { kind: 'redirect' }]
  return random() < 0.7 ? { kind: 'ok' } : all[Math.floor(random() * all.length)]!
}

const RUNS = Number(process.env.FAULT_RUNS ?? 5)
const FIRST_SEED = Number(process.env.FAULT_SEED ?? Math.floor(Math.random() * 1e9))

test.each(Array.from({ length: RUNS }, (_, run) => FIRST_SEED + run))(
  'a storm of faults does not change the bytes (FAULT_SEED=%i)',
  async seed => {
    const random = seededRandom(seed)
    const server = await rangeServer(CONTENT)
    server.fault = () => randomFault(random)
    const { bytes } = await transferred(server, { patienceMs: 20_000 })
    expect(sha(bytes)).toBe(sha(CONTENT))
  },
  60_000,
)
