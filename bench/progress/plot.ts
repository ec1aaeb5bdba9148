/** What was shown against what was true, one small chart a run, as SVG. */
import type { Score } from './score.ts'

const WIDTH = 320
const HEIGHT = 220
const SIDE = 34
const TOP = 26
const COLUMNS = 3

export function plot(scores: readonly Score[]): string {
  const rows = Math.ceil(scores.length / COLUMNS)
  const [width, height] = [Math.min(COLUMNS, scores.length) * WIDTH, rows * HEIGHT + 24]
  const charts = scores.map((run, i) => chart(run, (i % COLUMNS) * WIDTH, Math.floor(i / COLUMNS) * HEIGHT))
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
${charts.join('\n')}
<g transform="translate(${SIDE},${height - 10})"><text fill="#999">truth</text><text x="50" fill="#0b62c4">shown</text><text x="100" fill="#d1661a">MyHoard's number</text></g>
</svg>
`
}

function chart(run: Score, left: number, top: number): string {
  const w = WIDTH - SIDE - 12
  const h = HEIGHT - TOP - 24
  const x = (ms: number) => ((w * ms) / (1000 * run.seconds)).toFixed(1)
  const y = (percent: number) => (h - (h * percent) / 100).toFixed(1)
  const line = (column: 1 | 2) => {
    let path = ''
    for (const sample of run.samples) {
      const value = sample[column]
      if (value === null) continue
      path += path === '' ? `M${x(sample[0])} ${y(value)}` : `H${x(sample[0])}V${y(value)}`
    }
    return path
  }
  return `<g transform="translate(${left + SIDE},${top + TOP})">
<text y="-9" font-weight="bold">${run.name}</text>
<rect width="${w}" height="${h}" fill="none" stroke="#ccc"/>
<text x="-6" y="${h}" text-anchor="end" fill="#666">0</text><text x="-6" y="8" text-anchor="end" fill="#666">100</text>
<text x="${w}" y="${h + 14}" text-anchor="end" fill="#666">${run.seconds.toFixed(0)} s</text>
<path d="M0 ${h}L${w} 0" stroke="#999" stroke-dasharray="3 3" fill="none"/>
<path d="${line(2)}" stroke="#d1661a" fill="none"/>
<path d="${line(1)}" stroke="#0b62c4" stroke-width="1.6" fill="none"/>
</g>`
}
