/** Jaeger's HTTP API, as its own page uses it. */
export interface Jaeger {
  url: string
  services(): Promise<string[]>
  /** Traces that have a span with this name and this tag, newest first. */
  find(service: string, operation: string, tags: Record<string, string>): Promise<JaegerTrace[]>
  /** Null while Jaeger does not know it. */
  trace(traceId: string): Promise<JaegerTrace | null>
}

export interface JaegerTrace {
  traceId: string
  spans: JaegerSpan[]
}
export interface JaegerSpan {
  spanId: string
  parentId: string | null
  name: string
  /** Unix ms. */
  startMs: number
  durationMs: number
  tags: Record<string, unknown>
  links: string[]
  /** What Jaeger itself has to complain of. */
  warnings: string[]
  pid: unknown
}

interface RawSpan {
  traceID: string
  spanID: string
  operationName: string
  references: { refType: string; spanID: string }[]
  startTime: number
  duration: number
  tags: { key: string; value: unknown }[]
  warnings: string[] | null
  processID: string
}
interface RawTrace {
  traceID: string
  spans: RawSpan[]
  processes: Record<string, { serviceName: string; tags: { key: string; value: unknown }[] }>
}

const tagsOf = (tags: { key: string; value: unknown }[]) =>
  Object.fromEntries(tags.map(({ key, value }) => [key, value]))

function toTrace({ traceID, spans, processes }: RawTrace): JaegerTrace {
  return {
    traceId: traceID,
    spans: spans
      .map(span => {
        const [parent, ...links] = [
          ...span.references.filter(({ refType }) => refType === 'CHILD_OF'),
          ...span.references.filter(({ refType }) => refType !== 'CHILD_OF'),
        ]
        const isChild = parent?.refType === 'CHILD_OF'
        return {
          spanId: span.spanID,
          parentId: isChild ? parent.spanID : null,
          name: span.operationName,
          startMs: span.startTime / 1000,
          durationMs: span.duration / 1000,
          tags: tagsOf(span.tags),
          links: (isChild ? links : span.references).map(({ spanID }) => spanID),
          warnings: span.warnings ?? [],
          pid: tagsOf(processes[span.processID]?.tags ?? [])['process.pid'],
        }
      })
      .sort((a, b) => a.startMs - b.startMs),
  }
}

export function jaegerAt(url: string): Jaeger {
  const get = async (path: string, parameters: Record<string, string> = {}) => {
    const response = await fetch(`${url}/api/${path}?${new URLSearchParams(parameters)}`)
    if (response.status === 404) return []
    if (!response.ok) throw new Error(`Jaeger: ${response.status} ${await response.text()}`)
    return ((await response.json()) as { data: RawTrace[] }).data ?? []
  }
  return {
    url,
    services: async () => (await get('services')) as unknown as string[],
    find: async (service, operation, tags) =>
      (await get('traces', { service, operation, tags: JSON.stringify(tags), limit: '20', lookback: '1h' })).map(
        toTrace,
      ),
    trace: async traceId => (await get(`traces/${traceId}`)).map(toTrace)[0] ?? null,
  }
}
