import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createScreen } from '../../../src/cli/views/screen.ts'
import { VirtualTerminal } from './virtual-terminal.ts'

const word = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'é', '✓'), maxLength: 18 }).map(text => `|${text}|`)
const frames = fc.array(fc.array(word, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 8 })

test('after any sequence of frames, the screen shows the last one and all that was printed above', () => {
  fc.assert(
    fc.property(frames, fc.array(word, { maxLength: 3 }), fc.nat(7), (sequence, above, when) => {
      const terminal = new VirtualTerminal(24, 10)
      const screen = createScreen()
      terminal.write('before\n')
      for (const [index, lines] of sequence.entries()) terminal.write(screen.update(lines, index === when ? above : []))
      expect(terminal.text).toEqual(['before', ...(when < sequence.length ? above : []), ...sequence.at(-1)!])
    }),
  )
})

test('only what changed is written', () => {
  const screen = createScreen()
  screen.update(['one', 'two', 'three'])
  expect(screen.update(['one', 'two', 'three'])).toBe('')
  expect(screen.update(['one', 'TWO', 'three'])).toBe('\x1b[2A\rTWO\x1b[K\x1b[2B\r')
})

test('a resize that wraps the lines leaves no remains', () => {
  const sizes = fc.array(fc.integer({ min: 21, max: 60 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(frames, sizes, (sequence, widths) => {
      const terminal = new VirtualTerminal(60, 40)
      const screen = createScreen()
      terminal.on('resize', () => screen.resize(terminal.columns))
      terminal.write('before\n')
      for (const [index, lines] of sequence.entries()) {
        const width = widths[index % widths.length]!
        terminal.write(screen.update(lines.map(line => line.padEnd(terminal.columns - 1, '.'))))
        terminal.resize(width)
        terminal.write(screen.update(lines.map(line => line.padEnd(width - 1, '.'))))
        expect(terminal.text).toEqual(['before', ...lines.map(line => line.padEnd(width - 1, '.'))])
      }
    }),
  )
})
