import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openStore } from '../../src/source/open-store.ts'
import { NO_SETTINGS } from '../../src/source/store-settings.ts'
import { scratch } from './scratch.ts'
import { listed, storeConformance } from './store-conformance.ts'

const at = scratch()
let stores = 0

describe('a store in a local directory', () => {
  storeConformance(async content => {
    const root = at(`store-${stores++}`)
    mkdirSync(root)
    for (const [key, bytes] of Object.entries(content)) {
      mkdirSync(dirname(join(root, key)), { recursive: true })
      writeFileSync(join(root, key), bytes)
    }
    return openStore({ kind: 'path', path: root }, NO_SETTINGS)
  })
})

test('links in a local store are followed as in a backup directory', async () => {
  mkdirSync(at('links/b'), { recursive: true })
  writeFileSync(at('links-target'), 'abc')
  symlinkSync(at('links-target'), at('links/b/x'))
  const store = await openStore({ kind: 'path', path: at('links') }, NO_SETTINGS)
  expect((await listed(store)).map(({ key, bytes }) => [key, bytes])).toEqual([['b/x', 3]])
  expect(String(await store.read('b/x'))).toBe('abc')
})

test.each([
  ['nothing-here', 'source_missing'],
  ['a-file', 'source_unreadable'],
])('%s is no store: %s', async (name, code) => {
  mkdirSync(dirname(at('a-file')), { recursive: true })
  writeFileSync(at('a-file'), 'x')
  await expect(openStore({ kind: 'path', path: at(name) }, NO_SETTINGS)).rejects.toMatchObject({ code })
})

test('standard input holds no backups', async () => {
  await expect(openStore({ kind: 'stdin' }, NO_SETTINGS)).rejects.toMatchObject({ code: 'usage' })
})
