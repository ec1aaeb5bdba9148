import { printable } from '../../format.ts'

/** A piece of a line and how it looks. Lines are built from pieces, so that width is counted before colour comes in. */
export interface Piece {
  text: string
  style?: Style
}
export type Style = 'dim' | 'bold' | 'green' | 'red' | 'yellow' | 'cyan'

const SGR: Record<Style, string> = { dim: '2', bold: '1', green: '32', red: '31;1', yellow: '33', cyan: '36' }

export const piece = (text: string, style?: Style): Piece => (style === undefined ? { text } : { text, style })

/** The line as text, cut to `width` columns with an ellipsis, coloured or not. */
export function toText(line: readonly Piece[], width: number, color: boolean, ellipsis = '…'): string {
  const cut = widthOf(line) > width
  let room = cut ? width - ellipsis.length : width
  let text = ''
  for (const { text: raw, style } of line) {
    const part = cutTo(printable(raw), room)
    room -= displayWidth(part)
    text += color && style !== undefined && part.trim() !== '' ? `\x1b[${SGR[style]}m${part}\x1b[0m` : part
    if (room <= 0) break
  }
  return cut && width > 0 ? text + ellipsis : text.trimEnd()
}

export const widthOf = (line: readonly Piece[]): number => line.reduce((sum, { text }) => sum + displayWidth(text), 0)

/** The longest beginning of `text` that takes at most `columns`. */
export function cutTo(text: string, columns: number): string {
  let width = 0
  let end = 0
  for (const character of text) {
    width += characterWidth(character.codePointAt(0)!)
    if (width > columns) break
    end += character.length
  }
  return text.slice(0, end)
}

/** Keeps the end of a path, where its name is, from a `/` on if there is one: `…/db/mysql`. */
export function cutPathTo(path: string, columns: number, ellipsis = '…'): string {
  if (displayWidth(path) <= columns) return path
  const characters = [...path]
  while (characters.length > 0 && displayWidth(characters.join('')) > columns - ellipsis.length) characters.shift()
  const slash = characters.indexOf('/')
  return ellipsis + characters.slice(Math.max(0, slash)).join('')
}

/** Columns that a terminal gives to plain text (no escape sequences in it). */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const character of text) width += characterWidth(character.codePointAt(0)!)
  return width
}

/** East Asian wide and emoji blocks take two columns, combining marks and joiners none; the rest one. */
function characterWidth(code: number): number {
  if (code < 0x300) return 1
  if (/^[\p{Mn}\p{Me}\p{Cf}]$/u.test(String.fromCodePoint(code))) return 0
  const wide =
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf && code !== 0x303f) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1f64f) ||
    (code >= 0x1f900 && code <= 0x1f9ff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  return wide ? 2 : 1
}
