import { ERRORS, type ErrorCode } from '../errors.ts'
import type { Grammar } from './events.ts'

const isCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text)

/** What the transfer process says: `error CODE: message`, and a broken pipe where the next tool has ended. */
export function transferGrammar(): Grammar {
  return (line, complete) => {
    const found = complete ? /^error ([a-z_]+): (.*)$/.exec(line) : null
    return found !== null && isCode(found[1]!) ? [{ type: 'failure', code: found[1], text: found[2]! }] : []
  }
}
