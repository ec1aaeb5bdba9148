import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createLineSplitter, type Line } from '../../src/process/line-splitter.ts'

const whole = (text: string): Line => ({ text, complete: true })

const splitAll = (chunks: readonly Buffer[], capBytes?: number) => {
  const splitter = createLineSplitter(capBytes === undefined ? {} : { capBytes })
  const lines = chunks.flatMap(chunk => splitter.push(chunk, 0))
  return { lines: [...lines, ...[splitter.flush() ?? []].flat()], cutLines: splitter.cutLines }
}

const chunked = (bytes: Buffer, sizes: readonly number[]): Buffer[] => {
  const chunks: Buffer[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    chunks.push(Buffer.from(bytes.subarray(at, at + size)))
    at += size
  }
  return chunks
}

const arbitraryText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\n', '\r\n', '\r', '\0', '\0\0\0', 'é', '語', '🐬', 'x'.repeat(40)),
    ),
  )
  .map(parts => parts.join(''))
const arbitrarySizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 })

describe('createLineSplitter', () => {
  test('gives the lines of the text, whatever the chunks', () => {
    fc.assert(
      fc.property(arbitraryText, arbitrarySizes, (text, sizes) => {
        const expected = text.toWellFormed().replaceAll('\0', '').split('\n')
        if (expected.at(-1) === '') expected.pop()
        const { lines, cutLines } = splitAll(chunked(Buffer.from(text.toWellFormed()), sizes))
        expect(lines).toEqual(expected.map(line => whole(line.replace(/\r$/, ''))))
        expect(cutLines).toBe(0)
      }),
    )
  })

  test('cuts at the same place, whatever the chunks', () => {
    fc.assert(
      fc.property(arbitraryText, arbitrarySizes, fc.integer({ min: 4, max: 20 }), (text, sizes, capBytes) => {
        const bytes = Buffer.from(text.toWellFormed())
        const result = splitAll(chunked(bytes, sizes), capBytes)
        expect(result).toEqual(splitAll([bytes], capBytes))
        const uncut = splitAll([bytes]).lines
        expect(result.lines).toHaveLength(uncut.length)
        for (const [i, { text }] of result.lines.entries()) {
          expect(Buffer.byteLength(text)).toBeLessThanOrEqual(capBytes)
          expect(uncut[i]!.text.startsWith(text)).toBe(true)
        }
      }),
    )
  })

  test('an open line is a prefix of the line it becomes, and is offered once at each length', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), arbitrarySizes, (raw, sizes) => {
        const text = raw.replaceAll(/[\n\r\0]/g, '-')
        const splitter = createLineSplitter()
        let nowMs = 0
        for (const chunk of chunked(Buffer.from(text), sizes)) {
          expect(splitter.push(chunk, nowMs)).toEqual([])
          expect(splitter.offerPartial(nowMs + 99)).toBeNull()
          const offered = splitter.offerPartial(nowMs + 100)
          expect(offered?.complete).toBe(false)
          expect(text.startsWith(offered!.text)).toBe(true)
          expect(splitter.offerPartial(nowMs + 200)).toBeNull()
          nowMs += 300
        }
        expect(splitter.push(Buffer.from('\n'), nowMs)).toEqual([whole(text)])
        expect(splitter.offerPartial(nowMs + 1000)).toBeNull()
      }),
    )
  })

  test('keeps 64 KiB of a line and counts the cut', () => {
    const { lines, cutLines } = splitAll([Buffer.from(`${'a'.repeat(200_000)}\nshort\n`)])
    expect(lines).toEqual([whole('a'.repeat(65_536)), whole('short')])
    expect(cutLines).toBe(1)
  })

  test('an endless line is offered up to the cap, then not again', () => {
    const splitter = createLineSplitter({ capBytes: 10 })
    splitter.push(Buffer.from('0123456789abc'), 0)
    expect(splitter.offerPartial(100)).toEqual({ text: '0123456789', complete: false })
    splitter.push(Buffer.from('more'), 200)
    expect(splitter.offerPartial(1000)).toBeNull()
    expect(splitter.flush()).toEqual(whole('0123456789'))
  })

  test('the chunk may be reused', () => {
    const splitter = createLineSplitter()
    const chunk = Buffer.from('abc')
    splitter.push(chunk, 0)
    chunk.fill('z')
    expect(splitter.push(Buffer.from('d\n'), 0)).toEqual([whole('abcd')])
  })
})
