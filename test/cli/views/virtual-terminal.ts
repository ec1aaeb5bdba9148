import { EventEmitter } from 'node:events'
import { displayWidth } from '../../../src/cli/views/text-line.ts'

/**
 * A small terminal: applies the bytes a view writes and tells what stands on the screen. Knows relative cursor
 * movement, erasing, autowrap, scrolling and, on resize, reflow as tmux, VTE and kitty do it; colours are dropped,
 * anything else throws, so that a test sees an escape code it did not think of.
 */
export class VirtualTerminal extends EventEmitter {
  readonly isTTY = true
  columns: number
  rows: number
  writes: string[] = []
  cursorVisible = true
  writableLength = 0
  /** All lines since the start; the screen is the last `rows` of them. `wrapped`: goes on in the next one. */
  #lines: { text: string; wrapped: boolean }[] = [{ text: '', wrapped: false }]
  #row = 0
  #column = 0

  constructor(columns: number, rows: number) {
    super()
    this.columns = columns
    this.rows = rows
  }

  write(text: string): boolean {
    this.writes.push(text)
    for (const [token] of text.matchAll(/\x1b\[([?\d;]*)([A-Za-z])|[\s\S]/gu)) this.#apply(token)
    return true
  }

  /** Everything printed, what has scrolled away too, without empty lines at the end. */
  get text(): string[] {
    const lines = this.#lines.map(line => line.text.trimEnd())
    while (lines.at(-1) === '') lines.pop()
    return lines
  }

  get bytesWritten(): number {
    return this.writes.join('').length
  }

  resize(columns: number, rows = this.rows): void {
    const whole: string[] = []
    let cursorLine = 0
    let open = false
    for (const [index, line] of this.#lines.entries()) {
      if (open) whole[whole.length - 1] += line.text
      else whole.push(line.text.trimEnd())
      if (index === this.#row) cursorLine = whole.length - 1
      open = line.wrapped
    }
    this.#lines = []
    for (const [index, text] of whole.entries()) {
      if (index === cursorLine) this.#row = this.#lines.length
      for (let at = 0; at === 0 || at < text.length; at += columns) {
        this.#lines.push({ text: text.slice(at, at + columns), wrapped: at + columns < text.length })
      }
    }
    this.columns = columns
    this.rows = rows
    this.emit('resize')
  }

  #apply(token: string): void {
    const [, parameters = '', command = ''] = /^\x1b\[([?\d;]*)([A-Za-z])$/.exec(token) ?? []
    const count = Math.max(1, Number(parameters) || 1)
    const top = Math.max(0, this.#lines.length - this.rows)
    if (token === '\n') {
      this.#column = 0
      this.#row++
      if (this.#row === this.#lines.length) this.#lines.push({ text: '', wrapped: false })
    } else if (token === '\r') this.#column = 0
    else if (command === 'A') this.#row = Math.max(top, this.#row - count)
    else if (command === 'B') this.#row = Math.min(this.#lines.length - 1, this.#row + count)
    else if (command === 'K') this.#set(this.#line.text.slice(0, this.#column))
    else if (command === 'J') {
      this.#set(this.#line.text.slice(0, this.#column))
      this.#lines.length = this.#row + 1
    } else if (token === '\x1b[?25l') this.cursorVisible = false
    else if (token === '\x1b[?25h') this.cursorVisible = true
    else if (command === 'm') return
    else if (token < ' ' || command !== '') throw new Error(`unknown code ${JSON.stringify(token)}`)
    else this.#put(token)
  }

  get #line() {
    return this.#lines[this.#row]!
  }

  #set(text: string): void {
    this.#lines[this.#row] = { text, wrapped: false }
  }

  #put(character: string): void {
    if (displayWidth(this.#line.text.slice(0, this.#column) + character) > this.columns) {
      this.#line.wrapped = true
      this.#apply('\n')
    }
    const { text } = this.#line
    this.#set(
      text.slice(0, this.#column).padEnd(this.#column) + character + text.slice(this.#column + character.length),
    )
    this.#column += character.length
  }
}
