import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { extract } from '../../../src/restore/steps/extract.ts'
import { openSource } from '../../../src/source/open-source.ts'
import type { StreamSource } from '../../../src/source/source.ts'
import { NO_SETTINGS } from '../../../src/source/store-settings.ts'
import { scratch } from '../../support/scratch.ts'
import { stepContext } from '../../support/step-context.ts'

test('a file that a tool has read within a second, too quick for any look at it, is known to be read whole', async () => {
  const runDir = scratch()
  const backup = join(runDir, 'full.xb')
  writeFileSync(backup, Buffer.alloc(3_000_000, 'x'))
  const { context, store } = stepContext(runDir, 'restoring_basebackup')
  const source = (await openSource({ kind: 'path', path: backup }, NO_SETTINGS)) as StreamSource
  onTestFinished(() => source.close())
  const command = { file: 'sh', args: ['-c', 'cat > /dev/null'] }
  await extract(
    context,
    { kind: 'extract', phase: 'restoring_basebackup', element: 1, stages: [command], into: runDir },
    source,
  )
  expect(store.state.source.readBytes).toBe(3_000_000)
})
