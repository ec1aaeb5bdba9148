import { execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, open, openSync, readSync, symlinkSync, writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { openDirectorySource } from '../../src/source/directory.ts'
import { openFileSource } from '../../src/source/file.ts'
import { identityDifference } from '../../src/source/identity.ts'
import { openSource } from '../../src/source/open-source.ts'
import type { StreamSource } from '../../src/source/source.ts'
import {
  absoluteSource,
  isSameSource,
  isStdin,
  localPathOf,
  nameOfSource,
  parseSource,
  sourceRefSchema,
} from '../../src/source/source-ref.ts'
import { openStdinSource } from '../../src/source/stdin.ts'
import { NO_SETTINGS } from '../../src/source/store-settings.ts'
import { rangeServer } from '../support/range-server.ts'
import { thrownBy } from '../support/thrown-by.ts'
import { descriptorsBelow, scratch } from './scratch.ts'

const at = scratch()
const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

async function allOf(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of bytes) pieces.push(piece)
  return Buffer.concat(pieces)
}

let fifos = 0
/** A descriptor of a pipe through which `content` comes. */
async function pipeOf(content: Buffer): Promise<number> {
  const fifo = at(`fifo-${fifos++}`)
  execFileSync('mkfifo', [fifo])
  writeFileSync(`${fifo}.bytes`, content)
  spawn('sh', ['-c', 'exec cat "$1" >"$2"', 'sh', `${fifo}.bytes`, fifo], { stdio: 'ignore' })
  return promisify(open)(fifo, 'r')
}

const fileOf = (content: Buffer): string => {
  const path = at(`file-${sha(content)}`)
  writeFileSync(path, content)
  return path
}

const KINDS: Record<string, { open: (content: Buffer) => StreamSource | Promise<StreamSource>; sized: boolean }> = {
  file: { open: content => openFileSource(fileOf(content)), sized: true },
  'redirected standard input': { open: content => openStdinSource(openSync(fileOf(content), 'r')), sized: true },
  'redirected standard input, read before': {
    open(content) {
      const fd = openSync(fileOf(Buffer.concat([randomBytes(12_345), content])), 'r')
      readSync(fd, Buffer.alloc(12_345))
      return openStdinSource(fd)
    },
    sized: true,
  },
  'http URL': {
    open: async content =>
      openSource({ kind: 'url', url: (await rangeServer(content)).url }, NO_SETTINGS) as Promise<StreamSource>,
    sized: true,
  },
  'http URL without ranges': {
    async open(content) {
      const server = await rangeServer(content)
      server.ranges = false
      return openSource({ kind: 'url', url: server.url }, NO_SETTINGS) as Promise<StreamSource>
    },
    sized: true,
  },
  'piped standard input': { open: async content => openStdinSource(await pipeOf(content)), sized: false },
}

describe.each(Object.entries(KINDS))('%s', (_name, { open: openKind, sized }) => {
  test.each([0, 1, 1000, 1 << 20, 3_456_789])('delivers all of %i bytes, peeked at or not', async size => {
    const content = randomBytes(size)
    const source = await openKind(content)
    expect(source.storedBytes).toBe(sized ? size : null)
    expect(await source.peek(100)).toEqual(content.subarray(0, 100))
    expect(sha(await source.peek())).toBe(sha(content.subarray(0, 1 << 20)))
    expect(sha(await source.peek(2_000_000))).toBe(sha(content.subarray(0, 2_000_000)))
    expect(await source.peek(10)).toEqual(content.subarray(0, 10))
    expect(sha(await allOf(source.bytes()))).toBe(sha(content))
    await source.close()
  })

  test('delivers all bytes without a peek', async () => {
    const content = randomBytes(500_000)
    const source = await openKind(content)
    expect(sha(await allOf(source.bytes()))).toBe(sha(content))
    await source.close()
  })

  test('a tool reads every byte from its descriptor, after peeks and positioned reads', async () => {
    const content = randomBytes(2_000_000)
    const source = await openKind(content)
    await source.peek()
    if (!source.file) {
      expect(sized).toBe(source.remote !== undefined)
      await source.close()
      return
    }
    const part = Buffer.alloc(1000)
    expect(await source.file.readAt(part, 1_999_500)).toBe(500)
    expect(part.subarray(0, 500)).toEqual(content.subarray(1_999_500))
    const tool = spawn('sha256sum', { stdio: [source.file.fd(), 'pipe', 'inherit'] })
    const [printed] = (await once(tool.stdout!, 'data')) as [Buffer]
    expect(printed.toString()).toContain(sha(content))
    await source.close()
  })

  test('close releases what it opened', async () => {
    const before = descriptorsBelow(at('.'))
    const source = await openKind(randomBytes(3_000_000))
    await source.peek()
    if (source.file && !isStdin(source.ref)) source.file.fd()
    const given = isStdin(source.ref) && source.file ? 1 : 0
    await source.close()
    // A socket closes its descriptor a turn later.
    await expect.poll(() => descriptorsBelow(at('.')) - given).toBe(before)
  })
})

describe('standard input', () => {
  test('cannot be consumed twice', async () => {
    const source = openStdinSource(openSync(fileOf(randomBytes(5000)), 'r'))
    readSync(source.file!.fd(), Buffer.alloc(10))
    expect(thrownBy(() => source.file!.fd()).code).toBe('source_unreadable')
    const piped = openStdinSource(await pipeOf(randomBytes(10)))
    await allOf(piped.bytes())
    await expect(allOf(piped.bytes())).rejects.toMatchObject({ code: 'source_unreadable' })
    await piped.close()
  })

  test('a device is refused', () => {
    expect(thrownBy(() => openStdinSource(openSync('/dev/null', 'r')))).toMatchObject({ code: 'source_unreadable' })
  })
})

describe('directory', () => {
  test('lists every file with its size, reads one, and holds nothing open', async () => {
    const root = at('dir')
    mkdirSync(`${root}/db/deep`, { recursive: true })
    const content = randomBytes(70_000)
    for (const path of ['a', 'db/b', 'db/deep/c']) writeFileSync(`${root}/${path}`, content)
    const before = descriptorsBelow(at('.'))
    const source = openDirectorySource(root)
    const files: [string, number][] = []
    for await (const { path, bytes } of source.files()) files.push([path, bytes])
    expect(files.sort()).toEqual([
      ['a', 70_000],
      ['db/b', 70_000],
      ['db/deep/c', 70_000],
    ])
    expect(await source.storedBytes()).toBe(210_000)
    expect(await source.read('db/b')).toEqual(content)
    await expect(source.read('nothing')).rejects.toMatchObject({ code: 'source_missing' })
    await source.close()
    expect(descriptorsBelow(at('.'))).toBe(before)
  })
})

describe('links in a directory', () => {
  test('count as what they lead to, which is copied; none leads round and round', async () => {
    const root = at('linked')
    for (const path of [`${root}/db`, at('elsewhere/deep')]) mkdirSync(path, { recursive: true })
    const content = randomBytes(70_000)
    for (const path of [`${root}/a`, at('elsewhere/b'), at('elsewhere/deep/c'), at('single')])
      writeFileSync(path, content)
    symlinkSync(at('elsewhere'), `${root}/other`)
    symlinkSync(at('single'), `${root}/db/d`)
    symlinkSync(root, `${root}/db/up`)
    symlinkSync('..', at('elsewhere/deep/up'))
    symlinkSync('loop', `${root}/loop`)
    symlinkSync('nowhere', `${root}/none`)
    const source = openDirectorySource(root)
    const files: Record<string, number> = {}
    for await (const { path, bytes, allocatedBytes } of source.files()) {
      files[path] = bytes
      if (bytes === 70_000) expect(allocatedBytes).toBeGreaterThanOrEqual(70_000)
    }
    const whole = 70_000
    expect(files).toEqual({ a: whole, 'other/b': whole, 'other/deep/c': whole, 'db/d': whole })
    expect((await source.ignored()).sort()).toEqual(['loop', 'none'])
    expect(await source.storedBytes()).toBe(280_000)
    expect(await source.read('other/deep/c')).toEqual(content)
  })
})

describe('a SourceRef', () => {
  const written: Record<string, () => string> = {
    'a file': () => fileOf(randomBytes(5000)),
    'a directory': () => {
      mkdirSync(at('extracted/db'), { recursive: true })
      writeFileSync(at('extracted/db/t.ibd'), 'x')
      return at('extracted')
    },
  }

  test.each(Object.entries(written))(
    'of %s: as written, in state.json and opened it is the same source',
    async (_, of) => {
      const text = of()
      const ref = parseSource(text)!
      expect(nameOfSource(ref)).toBe(text)
      const source = await openSource(ref, NO_SETTINGS)
      expect([source.name, isSameSource(source.ref, ref), localPathOf(source.ref)]).toEqual([text, true, text])
      await source.close()
      const stored = sourceRefSchema.parse(JSON.parse(JSON.stringify(source.ref)))
      expect(stored).toEqual(source.ref)
      const again = await openSource(stored, NO_SETTINGS)
      expect([again.kind, again.ref]).toEqual([source.kind, source.ref])
      await again.close()
    },
  )

  test('of standard input has no path and stays where it is', () => {
    const ref = parseSource('-')!
    expect([nameOfSource(ref), isStdin(ref), localPathOf(ref)]).toEqual(['-', true, null])
    expect(absoluteSource(ref, '/folder')).toEqual(ref)
    expect(sourceRefSchema.parse(JSON.parse(JSON.stringify(ref)))).toEqual(ref)
  })

  test('a relative path is one below the folder; a file called - is written ./-', () => {
    expect(absoluteSource(parseSource('./-')!, '/folder')).toEqual({ kind: 'path', path: '/folder/-' })
    expect(absoluteSource(parseSource('../a.xb')!, '/folder')).toEqual({ kind: 'path', path: '/a.xb' })
    expect(absoluteSource(parseSource('/b/a.xb')!, '/folder')).toEqual({ kind: 'path', path: '/b/a.xb' })
  })

  test.each(['s3:///full.xb', 'gs://bucket/full.xb', 'FILE:///x'])('%s is none yet', text => {
    expect(parseSource(text)).toBeNull()
  })
})

describe('openSource', () => {
  test('tells files from directories', async () => {
    const path = fileOf(Buffer.from('x'))
    for (const [name, kind] of [
      [path, 'file'],
      [at('.'), 'directory'],
    ] as const) {
      const source = await openSource({ kind: 'path', path: name }, NO_SETTINGS)
      expect([source.name, source.ref]).toEqual([name, { kind, path: name }])
      await source.close()
    }
  })

  test.each([
    [{ kind: 'status', status: 404 }, 'source_missing'],
    [{ kind: 'status', status: 403 }, 'source_denied'],
    [{ kind: 'status', status: 400 }, 'source_unreadable'],
  ] as const)('a URL that answers %j is %s', async (fault, code) => {
    const server = await rangeServer(Buffer.from('x'))
    server.fault = () => fault
    await expect(openSource({ kind: 'url', url: server.url }, NO_SETTINGS)).rejects.toMatchObject({ code })
  })

  test('a URL that was replaced has another identity', async () => {
    const server = await rangeServer(randomBytes(1000))
    const [before, same] = [
      await openSource({ kind: 'url', url: server.url }, NO_SETTINGS),
      await openSource({ kind: 'url', url: server.url }, NO_SETTINGS),
    ]
    expect(identityDifference(await before.identity(), await same.identity())).toBeNull()
    server.content = randomBytes(1000)
    const after = await openSource({ kind: 'url', url: server.url }, NO_SETTINGS)
    expect(identityDifference(await before.identity(), await after.identity())).toBe('ETag')
    for (const source of [before, same, after]) await source.close()
  })

  test('what may be secret in a URL is sent, and is in no ref', async () => {
    const server = await rangeServer(randomBytes(1000))
    const ref = parseSource(server.url.replace('//', '//ann:s3cret@').concat('?sig=s1gned'))!
    expect(JSON.stringify([ref, nameOfSource(ref)])).not.toMatch(/s3cret|s1gned|ann/)
    await (await openSource(ref, NO_SETTINGS)).close()
    expect(server.paths).toEqual(['/full.xb?sig=s1gned'])
    expect(server.authorizations).toEqual([`Basic ${Buffer.from('ann:s3cret').toString('base64')}`])
  })

  test.each(['nothing-here', 'plain/below-a-file'])('%s is missing', async name => {
    writeFileSync(at('plain'), '')
    const opened = openSource({ kind: 'path', path: at(name) }, NO_SETTINGS)
    await expect(opened).rejects.toMatchObject({ code: 'source_missing', message: `there is no ${at(name)}` })
  })

  test('a FIFO is sent to standard input', async () => {
    execFileSync('mkfifo', [at('pipe')])
    const hint = expect.stringContaining(`< ${at('pipe')}`)
    const opened = openSource({ kind: 'path', path: at('pipe') }, NO_SETTINGS)
    await expect(opened).rejects.toMatchObject({ code: 'source_unreadable', hint })
  })

  test('a file without rights is unreadable', () => {
    writeFileSync(at('secret'), 'x', { mode: 0 })
    const root = process.geteuid!() === 0
    if (root) process.seteuid!(65534)
    try {
      // The scratch directory itself is closed to others, so either step may refuse.
      expect(thrownBy(() => openFileSource(at('secret'))).message).toMatch(/cannot read .*secret: EACCES/)
    } finally {
      if (root) process.seteuid!(0)
    }
  })
})
