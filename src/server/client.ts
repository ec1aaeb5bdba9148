import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { RestoreError } from '../errors.ts'
import { type StatusBody, statusSchema } from './api-schema.ts'

/** The address of an agent, and its token, if it needs one. */
export interface AgentAddress {
  /** `unix:` and the path of a socket, or a URL without a slash at its end. */
  url: string
  token: string | null
}

const TIMEOUT_MS = 10_000
/** How long an agent may be unreachable, for example during an upgrade. */
const AWAY_MS = 60_000
/** The agent sends a heartbeat every 15 s. */
const SILENT_MS = 45_000
const LARGEST_STATUS_BYTES = 8 * 1024 * 1024
const LARGEST_ERROR_BYTES = 64 * 1024

/** Throws `agent_unreachable` or `agent_refused`. */
export async function fetchStatus(agent: AgentAddress): Promise<StatusBody> {
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    return parseStatus(await readText(await open(agent, '/status', signal), LARGEST_STATUS_BYTES, agent), agent)
  } catch (thrown) {
    throw asAgentError(agent, thrown)
  }
}

/**
 * The agent's status whenever it changes, until `signal`. A broken connection is opened again; an agent that is away
 * for more than `awayMs` is not waited for. Throws as `fetchStatus` does.
 */
export async function* followStatus(
  agent: AgentAddress,
  signal: AbortSignal,
  awayMs = AWAY_MS,
): AsyncGenerator<StatusBody> {
  let heardAtMs = performance.now()
  let pauseMs = 250
  let known = false
  while (!signal.aborted) {
    try {
      for await (const data of events(agent, signal)) {
        heardAtMs = performance.now()
        pauseMs = 250
        known = true
        yield parseStatus(data, agent)
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
async function* events(agent: AgentAddress, signal: AbortSignal): AsyncGenerator<string> {
  const silence = new AbortController()
  let timer = setTimeout(() => silence.abort(), TIMEOUT_MS)
  try {
    const response = await open(agent, '/events', AbortSignal.any([signal, silence.signal]))
    let text = ''
    for await (const piece of response.setEncoding('utf8')) {
      clearTimeout(timer)
      timer = setTimeout(() => silence.abort(), SILENT_MS)
      text += piece
      if (text.length > LARGEST_STATUS_BYTES) throw tooLarge(agent, LARGEST_STATUS_BYTES)
      const blocks = text.split('\n\n')
      text = blocks.pop()!
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1]
        if (data !== undefined) yield data
      }
    }
  } catch (thrown) {
    throw asAgentError(agent, thrown)
  } finally {
    clearTimeout(timer)
  }
}

/** A GET that returned 200. Redirects are not followed: they could carry the token elsewhere. */
async function open(agent: AgentAddress, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  const { url, token } = agent
  const options = { signal, agent: false, headers: { ...(token !== null && { Authorization: `Bearer ${token}` }) } }
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = url.startsWith('unix:')
      ? httpRequest({ ...options, socketPath: url.slice('unix:'.length), path })
      : (/^https:/i.test(url) ? httpsRequest : httpRequest)(`${url}${path}`, options)
    request.on('response', resolve).on('error', reject).end()
  })
  const { statusCode = 0 } = response
  if (statusCode === 200) return response
  if (statusCode >= 300 && statusCode < 400) {
    response.destroy()
    throw new Error(`HTTP ${statusCode}, a redirect`)
  }
  const text = await readText(response, LARGEST_ERROR_BYTES, agent)
  throw refused(agent, `HTTP ${statusCode}${messageOf(text)}`, statusCode)
}

async function readText(response: IncomingMessage, limitBytes: number, agent: AgentAddress): Promise<string> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of response) {
    length += (piece as Buffer).length
    // Leaving the loop destroys the response.
    if (length > limitBytes) throw tooLarge(agent, limitBytes)
    pieces.push(piece as Buffer)
  }
  return Buffer.concat(pieces).toString('utf8')
}

function messageOf(text: string): string {
  try {
    const { message } = (JSON.parse(text) as { error: { message?: unknown } }).error
    return typeof message === 'string' ? `, ${message}` : ''
  } catch {
    return ''
  }
}

function asAgentError({ url }: AgentAddress, thrown: unknown): RestoreError {
  if (thrown instanceof RestoreError) return thrown
  const { code, message } = thrown as NodeJS.ErrnoException
  const why = code === 'ABORT_ERR' ? 'no answer in time' : (code ?? message)
  return new RestoreError('agent_unreachable', `no agent answers at ${url}: ${why}`, { cause: thrown })
}

const tooLarge = (agent: AgentAddress, limitBytes: number) =>
  refused(agent, `its answer has more than ${limitBytes} bytes`)

const refused = ({ url }: AgentAddress, why: string, status?: number): RestoreError =>
  new RestoreError('agent_refused', `the agent at ${url} refuses: ${why}`, {
    ...(status !== 401 && { hint: 'is this the address of restore-agent serve, of the same version?' }),
  })

function parseStatus(text: string, agent: AgentAddress): StatusBody {
  try {
    return statusSchema.parse(JSON.parse(text))
  } catch {
    throw refused(agent, 'its answer is not a status')
  }
}
