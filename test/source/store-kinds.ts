import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ObjectStore } from '../../src/source/object-store.ts'
import { openStore } from '../../src/source/open-store.ts'
import { NO_SETTINGS } from '../../src/source/store-settings.ts'

type MakeStore = (content: Record<string, Buffer>) => Promise<ObjectStore>

/** Every kind of store that needs no program of its own, each made new with the objects that are given. */
export function storeKinds(at: (name: string) => string): [string, MakeStore][] {
  let stores = 0
  return [
    [
      'a local directory',
      async content => {
        const root = at(`store-${stores++}`)
        mkdirSync(root)
        for (const [key, bytes] of Object.entries(content)) {
          mkdirSync(dirname(join(root, key)), { recursive: true })
          writeFileSync(join(root, key), bytes)
        }
        return openStore({ kind: 'path', path: root }, NO_SETTINGS)
      },
    ],
  ]
}
