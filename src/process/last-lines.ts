export interface LastLines {
  /** A whole line. */
  push(text: string): void
  /** Oldest first. */
  lines(): string[]
}

/** The last `limit` lines of a tool, for the error that may come. */
export function createLastLines(limit = 200): LastLines {
  const ring: string[] = []
  let next = 0
  return {
    push(text) {
      ring[next] = text
      next = (next + 1) % limit
    },
    lines: () => (ring.length < limit ? [...ring] : [...ring.slice(next), ...ring.slice(0, next)]),
  }
}
