import { expect, test } from 'vitest'
import { wideLines } from '../../scripts/lint/check-width.ts'

const wide = 'word '.repeat(25).trimEnd()

test('wide prose is found by line, in Markdown and in the comments of code, scripts and YAML', () => {
  expect(wideLines('a.md', `# Title\n\n${wide}\n- ${wide}`)).toEqual([3, 4])
  expect(wideLines('a.ts', `/**\n * ${wide}\n */\n// ${wide}\nconst a = 1 // ${wide}`)).toEqual([2, 4, 5])
  expect(wideLines('run', `# ${wide}`)).toEqual([1])
  expect(wideLines('a.yml', `a: 1 # ${wide}`)).toEqual([1])
})

test('tables, links, code and exactly 120 columns are left alone', () => {
  const url = `https://example.org/${'x'.repeat(120)}`
  expect(wideLines('a.md', `| ${wide} |\n\`\`\`\n${wide}\n\`\`\`\n[a link](${url})\n${url}`)).toEqual([])
  expect(wideLines('a.ts', `const text = '${wide}'\n// see ${url}\n// ${'ä'.repeat(117)}`)).toEqual([])
})
