import { scrubText } from '../secrets.ts'

/** The agent's own log on stderr, one line per event, with recognisable secrets removed. */
export type AgentLog = (level: LogLevel, event: string, message: string) => void
export type LogLevel = 'info' | 'warning' | 'error'

export function createAgentLog(format: 'plain' | 'json', write: (line: string) => void, now = Date.now): AgentLog {
  return (level, event, message) => {
    const time = new Date(now()).toISOString()
    const text = scrubText(message)
    write(
      format === 'json'
        ? `${JSON.stringify({ time, level, event, message: text })}\n`
        : `${time} ${level === 'info' ? '' : `${level}: `}${event}: ${oneLine(text)}\n`,
    )
  }
}

/** Text from outside must not forge a line or move a cursor. */
const oneLine = (text: string) => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
