import { expect, test } from 'vitest'
import { checkNode } from '../../src/cli/check-node.ts'

test.each(['v20.20.2', 'v22.14.9', 'v18.0.0'])('%s is too old, and is told so', version => {
  expect(() => checkNode(version)).toThrow(`restore-agent needs Node.js 22.19 or later, this is ${version}`)
})

test.each(['v22.19.0', 'v23.0.0', 'v24.21.0'])('%s is new enough', version => {
  expect(() => checkNode(version)).not.toThrow()
})
