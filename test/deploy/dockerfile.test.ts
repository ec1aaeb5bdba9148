import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { complete } from '../../src/config/options.ts'
import { refs } from '../support/source-refs.ts'

const dockerfile = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8')

test.each([true, false])(
  'the image keeps its state where it has made a place for it and docs say to mount one; root: %s',
  isRoot => {
    const env = Object.fromEntries(
      [...dockerfile.matchAll(/^ENV (\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
    )
    const { stateDir } = complete(
      { source: refs('/backup/full.xb'), datadir: '/restored/data' },
      { cwd: '/restored', env, isRoot, nowMs: 0 },
    )
    expect(/install -d -o mysql -g mysql (.+) \\?/.exec(dockerfile)![1]!.split(' ')).toContain(stateDir)
    const docs = readFileSync(new URL('../../docs/observability.md', import.meta.url), 'utf8')
    expect(docs).toContain(`-v restore-state:${stateDir} `)
  },
)
