import type { JaegerSpan, JaegerTrace } from '../../test/stack/run/jaeger.ts'

/** A trace as text: one line a span, children below their parent, with its start and duration in seconds. */
export function traceText({ spans }: JaegerTrace): string {
  const beganMs = Math.min(...spans.map(({ startMs }) => startMs))
  const known = new Set(spans.map(({ spanId }) => spanId))
  const inOrder = spans.toSorted((a, b) => a.startMs - b.startMs)
  const seconds = (ms: number) => (ms / 1000).toFixed(1).padStart(7)
  const lines = ['  start  duration', '     s         s  span']
  const add = (children: readonly JaegerSpan[], depth: number): void => {
    const progress = children.filter(({ name }) => name === 'progress')
    for (const span of children) {
      if (progress.includes(span) && span !== progress[0]) continue
      const name = progress.includes(span) ? summary(progress) : label(span)
      lines.push(`${seconds(span.startMs - beganMs)}   ${seconds(span.durationMs)}  ${'  '.repeat(depth)}${name}`)
      add(
        inOrder.filter(({ parentId }) => parentId === span.spanId),
        depth + 1,
      )
    }
  }
  // A span whose parent has not arrived yet stands at the top, as a live trace's do.
  add(
    inOrder.filter(({ parentId }) => parentId === null || !known.has(parentId)),
    0,
  )
  return `${lines.join('\n')}\n`
}

const summary = (spans: readonly JaegerSpan[]): string =>
  spans.length === 1
    ? `progress ${spans[0]!.tags['restore.progress.from']} to ${spans[0]!.tags['restore.progress.to']} %`
    : `progress ${spans[0]!.tags['restore.progress.from']} to ${spans.at(-1)!.tags['restore.progress.to']} % (the first of ${spans.length} spans)`

const label = ({ name, tags }: JaegerSpan): string =>
  `${name === 'attempt' ? `attempt ${tags['restore.attempt'] ?? ''}` : name}${tags['error.type'] ? ` (${tags['error.type']})` : ''}`
