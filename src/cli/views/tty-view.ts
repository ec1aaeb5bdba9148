import { printable } from '../../format.ts'
import type { RestoreBody } from '../../server/api-schema.ts'
import { renderFrame } from './frame.ts'
import { newNotices } from './notices.ts'
import { openOutput, type View, type ViewStream } from './output.ts'
import { createScreen } from './screen.ts'
import { summaryLines } from './summary.ts'
import { addToTimeline, type Timeline } from './timeline.ts'

/** At most 10 paints a second, however many states come. */
const PAINT_EVERY_MS = 100
/** Elapsed times change although no state comes. */
const CLOCK_EVERY_MS = 1_000

const HIDE_CURSOR = '\x1b[?25l'
const SHOW_CURSOR = '\x1b[?25h'

/** The checklist and the progress line, kept up to date at the bottom of a terminal. */
export function createTtyView(options: {
  stream: ViewStream
  color: boolean
  unicode: boolean
  now: () => number
}): View {
  const { stream, color, unicode, now } = options
  const output = openOutput(stream)
  const screen = createScreen()
  let body: RestoreBody | null = null
  let timeline: Timeline | null = null
  let unprinted: string[] = []
  let paintedAtMs = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | null = null
  let closed = false

  // A terminal of unknown size reports 0.
  const columns = () => stream.columns || 80
  // A line that fills the last column wraps on some terminals. The last row is the cursor's.
  const look = () => ({
    width: Math.max(8, columns() - 1),
    height: Math.max(2, (stream.rows || 24) - 1),
    color,
    unicode,
  })

  function paint(): void {
    timer = null
    paintedAtMs = now()
    if (body === null || timeline === null || (stream.writableLength ?? 0) > 0) return
    if (output.write(screen.update(renderFrame(body, timeline, now(), look()), unprinted))) unprinted = []
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
  const onExit = () => output.end(SHOW_CURSOR)
  const clock = setInterval(() => timer ?? paint(), CLOCK_EVERY_MS)
  clock.unref()
  stream.on('resize', onResize)
  process.once('exit', onExit)
  screen.resize(columns())
  output.write(HIDE_CURSOR)

  return {
    show(next) {
      if (closed) return
      const first = body === null
      const notices = newNotices(body?.notices ?? [], next.notices)
      unprinted.push(...notices.map(notice => `note: ${printable(notice)}`))
      body = next
      timeline = addToTimeline(timeline, next)
      if (first) paint()
      else paintSoon()
    },
    close() {
      if (closed) return
      closed = true
      clearInterval(clock)
      if (timer !== null) clearTimeout(timer)
      stream.off('resize', onResize)
      process.off('exit', onExit)
      let last = ''
      if (body !== null && timeline !== null) {
        const frame = renderFrame(body, timeline, now(), { ...look(), height: Number.POSITIVE_INFINITY })
        last = screen.update(frame, unprinted)
        last += summaryLines(body, timeline, color)
          .map(line => `${line}\n`)
          .join('')
      }
      output.end(last + SHOW_CURSOR)
    },
  }
}
