import { expect, test } from 'vitest'
import { copyGrammar } from '../../src/tool/copy-grammar.ts'

const grammar = copyGrammar(new Set(['/s/./dangling', '/s/./lost+found']))

test.each([
  "/usr/bin/cp: cannot stat '/s/./dangling': No such file or directory",
  "cp: cannot access '/s/./lost+found': Permission denied",
])('%s: expected', line => expect(grammar(line, true)).toEqual([]))

test.each([
  "/usr/bin/cp: cannot stat '/s/./app/t.ibd': No such file or directory",
  "/usr/bin/cp: cannot copy cyclic symbolic link '/s/./app/round'",
  "cp: error reading '/s/./ibdata1': Input/output error",
  'anything else',
])('%s: an error', line => {
  expect(grammar(line, true)).toMatchObject([{ type: expect.stringMatching(/^(complaint|failure)$/) }])
})
