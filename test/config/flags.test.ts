import { expect, test } from 'vitest'
import { restoreFlags } from '../../src/config/flags.ts'

test('names of flags become keys of restore.yaml', () => {
  expect(
    restoreFlags(['a', 'b'], { targetDir: '/t', decryptKeyFile: 'k', stallThreshold: ['flush=3m'], color: false }),
  ).toEqual({
    source: ['a', 'b'],
    target_dir: '/t',
    decrypt_key_file: 'k',
    stall_thresholds: ['flush=3m'],
    color: false,
  })
})

test('what was not typed does not hide what the file says', () => {
  expect(restoreFlags([], { color: true, config: 'restore.yaml', json: true })).toEqual({ json: true })
})
