/** Lines of prose that are too wide: in Markdown, and in the comments of code, scripts and YAML. */

const WIDTH = 120

/** Numbers, from 1, of a file's lines that are wider than 120 columns. Rows of tables, links and code are no prose. */
export function wideLines(name: string, text: string): number[] {
  const markdown = name.endsWith('.md')
  const wide: number[] = []
  let fenced = false
  for (const [index, line] of text.split('\n').entries()) {
    if (markdown && /^\s*(?:```|~~~)/.test(line)) fenced = !fenced
    const prose = markdown ? !fenced && !/^\s*\|/.test(line) : isComment(name, line)
    if (prose && [...withoutLinks(line)].length > WIDTH) wide.push(index + 1)
  }
  return wide
}

function isComment(name: string, line: string): boolean {
  return /\.[cm]?[jt]s$/.test(name) ? /^\s*(?:\*|\/\*|\/\/)|\s\/\/ /.test(line) : /^\s*#|\s# /.test(line)
}

function withoutLinks(line: string): string {
  return line.replace(/\]\([^)]*\)/g, ']').replace(/https?:\/\/\S+/g, '')
}
