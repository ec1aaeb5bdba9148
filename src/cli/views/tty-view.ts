import { printable } from '../../format.ts'
import type { RestoreState } from '../../restore/state/state.ts'
import type { Outcome, View } from '../view.ts'
import { renderFrame } from './frame.ts'
import { newNotices } from './notices.ts'
import { openOutlet, type ViewStream } from './outlet.ts'
import { createScreen } from './screen.ts'
import { summaryLines } from './summary.ts'
import { type Track, trackState } from './track.ts'

/** At most 10 paints a second, however many states come. */
const PAINT_EVERY_MS = 100
/** Elapsed times go on while nothing happens. */
const CLOCK_EVERY_MS = 1_000

const HIDE_CURSOR = '\x1b[?25l'
const SHOW_CURSOR = '\x1b[?25h'

/** The checklist and the live line, kept up to date at the bottom of a terminal. */
export function createTtyView(options: {
  stream: ViewStream
  color: boolean
  unicode: boolean
  now: () => number
}): View {
  const { stream, color, unicode, now } = options
  const outlet = openOutlet(stream)
  const screen = createScreen()
  let state: RestoreState | null = null
  let track: Track | null = null
  let told: readonly string[] = []
  let toTell: string[] = []
  let paintedAtMs = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | null = null
  let closed = false

  // A terminal that does not know its size says 0.
  const columns = () => stream.columns || 80
  // One column stays free: a line that fills the last one wraps on some terminals. One row is for the cursor.
  const look = () => ({
    width: Math.max(8, columns() - 1),
    height: Math.max(2, (stream.rows || 24) - 1),
    color,
    unicode,
  })

  function paint(): void {
    timer = null
    paintedAtMs = now()
    if (state === null || track === null || (stream.writableLength ?? 0) > 0) return
    if (outlet.write(screen.update(renderFrame(state, track, now(), look()), toTell))) toTell = []
  }

  function paintSoon(): void {
    if (timer !== null || closed) return
    timer = setTimeout(paint, Math.min(PAINT_EVERY_MS, Math.max(0, paintedAtMs + PAINT_EVERY_MS - now())))
    timer.unref()
  }

  const onResize = () => {
    screen.resize(columns())
    paintSoon()
  }
  const onExit = () => outlet.end(SHOW_CURSOR)
  const clock = setInterval(() => timer ?? paint(), CLOCK_EVERY_MS)
  clock.unref()
  stream.on('resize', onResize)
  process.once('exit', onExit)
  screen.resize(columns())
  outlet.write(HIDE_CURSOR)

  return {
    observe(next) {
      if (closed) return
      const first = state === null
      state = next
      track = trackState(track, next)
      if (next.notices !== told) {
        toTell.push(...newNotices(told, next.notices).map(notice => `note: ${printable(notice)}`))
        told = next.notices
      }
      if (first) paint()
      else paintSoon()
    },
    close(outcome?: Outcome) {
      if (closed) return
      closed = true
      clearInterval(clock)
      if (timer !== null) clearTimeout(timer)
      stream.off('resize', onResize)
      process.off('exit', onExit)
      let last = ''
      if (state !== null && track !== null) {
        last = screen.update(renderFrame(state, track, now(), { ...look(), height: Number.POSITIVE_INFINITY }), toTell)
        last += summaryLines(state, track, outcome, color)
          .map(line => `${line}\n`)
          .join('')
      }
      outlet.end(last + SHOW_CURSOR)
    },
  }
}
