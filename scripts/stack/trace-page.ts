import type { JaegerSpan, JaegerTrace } from '../../test/stack/run/jaeger.ts'

/** A trace as a page of bars, one row a span, children below their parent. Says on its face that it is drawn here. */
export function tracePage(trace: JaegerTrace, title: string): string {
  const beganMs = Math.min(...trace.spans.map(({ startMs }) => startMs))
  const endedMs = Math.max(...trace.spans.map(({ startMs, durationMs }) => startMs + durationMs))
  const share = (ms: number) => `${((100 * ms) / (endedMs - beganMs)).toFixed(3)}%`
  const rows = inTreeOrder(trace).map(([span, depth]) => {
    const left = share(span.startMs - beganMs)
    const failed = span.tags['error.type'] !== undefined
    return `<tr><td style="padding-left:${depth * 18 + 8}px">${label(span)}</td><td class="time">${seconds(span.durationMs)}</td>
      <td class="bars"><div class="${span.name} ${failed ? 'failed' : ''}" style="left:${left};width:max(2px,${share(span.durationMs)})"></div></td></tr>`
  })
  return `<!doctype html><meta charset="utf-8"><style>
    body { font: 14px/1.3 'DejaVu Sans', sans-serif; margin: 24px; color: #222 }
    h1 { font-size: 18px; margin: 0 } p { color: #666; margin: 4px 0 14px }
    table { border-collapse: collapse; width: 100% } td { padding: 2px 8px; border-top: 1px solid #eee; white-space: nowrap }
    .time { text-align: right; color: #666 } .bars { position: relative; width: 62%; padding: 0 }
    .bars div { position: absolute; top: 5px; height: 11px; background: #4a7bb5; border-radius: 2px }
    .bars .progress { background: #a9c4e4 } .bars .attempt, .bars .restore { background: #2d4f78 } .bars .failed { background: #c33 }
  </style><h1>${title}</h1><p>Trace ${trace.traceId}, ${trace.spans.length} spans, as Jaeger's API gave it.
  Drawn by scripts/stack/trace-page.ts; this is not Jaeger's page.</p><table>${rows.join('\n')}</table>`
}

const seconds = (ms: number) => (ms < 1 ? '0 s' : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`)

function label({ name, tags }: JaegerSpan): string {
  if (name === 'progress') return `progress ${tags['restore.progress.from']} to ${tags['restore.progress.to']} %`
  return name === 'attempt' ? `attempt ${tags['restore.attempt'] ?? ''}` : name
}

/** A span whose parent has not arrived yet stands at the top, as a live trace's do. */
function inTreeOrder({ spans }: JaegerTrace): [JaegerSpan, number][] {
  const known = new Set(spans.map(({ spanId }) => spanId))
  const under = (parentId: string, depth: number): [JaegerSpan, number][] =>
    spans.filter(span => span.parentId === parentId).flatMap(span => [[span, depth], ...under(span.spanId, depth + 1)])
  return spans
    .filter(({ parentId }) => parentId === null || !known.has(parentId))
    .flatMap(span => [[span, 0], ...under(span.spanId, 1)])
}
