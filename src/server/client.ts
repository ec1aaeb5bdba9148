import { setTimeout as sleep } from 'node:timers/promises'
import { RestoreError } from '../errors.ts'
import { type StatusBody, statusSchema } from './api-schema.ts'

/** Where an agent answers, and the token it wants, if any. */
export interface AgentPlace {
  /** Without a slash at its end. */
  url: string
  token: string | null
}

const TIMEOUT_MS = 10_000
/** An agent that is replaced is away for a moment. */
const AWAY_MS = 60_000
/** The agent sends a sign of life every 15 s. */
const SILENT_MS = 45_000
const LARGEST_EVENT_BYTES = 8 * 1024 * 1024

/** Throws `agent_unreachable` or `agent_refused`. */
export async function fetchStatus(place: AgentPlace): Promise<StatusBody> {
  const response = await ask(place, '/status', AbortSignal.timeout(TIMEOUT_MS))
  return checked(await response.text().catch(thrown => unreachable(place, thrown)), place)
}

/**
 * The agent's status whenever it changes, until `signal`. A connection that breaks is made again; an agent that is away for
 * more than a minute is not waited for. Throws as `fetchStatus` does.
 */
export async function* followStatus(
  place: AgentPlace,
  signal: AbortSignal,
  awayMs = AWAY_MS,
): AsyncGenerator<StatusBody> {
  let heardAtMs = performance.now()
  let pauseMs = 250
  let known = false
  while (!signal.aborted) {
    try {
      for await (const data of events(place, signal)) {
        heardAtMs = performance.now()
        pauseMs = 250
        known = true
        yield checked(data, place)
      }
    } catch (thrown) {
      if (signal.aborted) return
      const passes = thrown instanceof RestoreError && thrown.code === 'agent_unreachable'
      if (!passes || !known || performance.now() - heardAtMs > awayMs) throw thrown
    }
    await sleep(pauseMs, null, { signal }).catch(() => {})
    pauseMs = Math.min(pauseMs * 2, 5_000)
  }
}

/** The data of each event of one connection. */
async function* events(place: AgentPlace, signal: AbortSignal): AsyncGenerator<string> {
  const silence = new AbortController()
  let timer = setTimeout(() => silence.abort(), TIMEOUT_MS)
  try {
    const response = await ask(place, '/events', AbortSignal.any([signal, silence.signal]))
    let text = ''
    const decoder = new TextDecoder()
    for await (const piece of response.body ?? []) {
      clearTimeout(timer)
      timer = setTimeout(() => silence.abort(), SILENT_MS)
      text += decoder.decode(piece, { stream: true })
      const blocks = text.split('\n\n')
      text = blocks.pop()!
      if (text.length > LARGEST_EVENT_BYTES) throw refused(place, 'it answers with something else than a status')
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1]
        if (data !== undefined) yield data
      }
    }
  } catch (thrown) {
    if (thrown instanceof RestoreError) throw thrown
    unreachable(place, thrown)
  } finally {
    clearTimeout(timer)
  }
}

async function ask(place: AgentPlace, path: string, signal: AbortSignal): Promise<Response> {
  const headers = place.token === null ? {} : { Authorization: `Bearer ${place.token}` }
  // A redirect would carry the token elsewhere.
  const response = await fetch(`${place.url}${path}`, { headers, signal, redirect: 'error' }).catch(thrown =>
    unreachable(place, thrown),
  )
  if (response.ok) return response
  const message = await response.json().then(
    body => (body as { error?: { message?: unknown } }).error?.message,
    () => undefined,
  )
  throw refused(place, `HTTP ${response.status}${typeof message === 'string' ? `, ${message}` : ''}`, response.status)
}

function unreachable({ url }: AgentPlace, thrown: unknown): never {
  const { cause, message } = thrown as Error
  const why = (cause as NodeJS.ErrnoException | undefined)?.code ?? message
  throw new RestoreError('agent_unreachable', `no agent answers at ${url}: ${why}`, { cause: thrown })
}

const refused = ({ url }: AgentPlace, why: string, status?: number): RestoreError =>
  new RestoreError('agent_refused', `the agent at ${url} refuses: ${why}`, {
    ...(status !== 401 && { hint: 'is this address that of restore-agent serve, of the same version?' }),
  })

function checked(text: string, place: AgentPlace): StatusBody {
  try {
    return statusSchema.parse(JSON.parse(text))
  } catch {
    throw refused(place, 'it answers with something else than a status')
  }
}
