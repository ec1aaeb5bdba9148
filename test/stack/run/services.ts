import { createWriteStream, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { parse } from 'yaml'

/**
 * A service of docker-compose.yml run natively: its own command line, with each path in the container turned into the
 * file that compose mounts there, or into a directory of this run where compose has a volume. Only addresses are added.
 */
export const ROOT = join(import.meta.dirname, '../../..')

interface ComposeService {
  command: string[]
  volumes: string[]
}
const compose = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
  services: Record<string, ComposeService>
}

/** The service's arguments, for this run. `volumes` is where its volumes lie. */
export function composeArguments(service: string, volumes: string): string[] {
  const { command, volumes: mounts } = compose.services[service]!
  return command.map(argument => mounts.reduce((text, mount) => inMount(text, mount, volumes), argument))
}

function inMount(argument: string, mount: string, volumes: string): string {
  const [source, target] = mount.split(':') as [string, string]
  const host = source.startsWith('./') ? join(ROOT, source) : join(volumes, source)
  if (!source.startsWith('./')) mkdirSync(host, { recursive: true })
  return argument.replace(new RegExp(`(?<==)${target}(?=/|$)`), host)
}

export interface Service {
  start(): Promise<void>
  /** SIGTERM, then SIGKILL after 10 s. */
  stop(): Promise<void>
}

interface ServiceOptions {
  file: string
  args: readonly string[]
  env?: Record<string, string>
  cwd: string
  log: string
  /** Answers 200 when it is ready. */
  readyUrl: string
}

export function makeService({ file, args, env = {}, cwd, log, readyUrl }: ServiceOptions): Service {
  let running: (PromiseLike<unknown> & { kill(signal: NodeJS.Signals): boolean }) | undefined
  return {
    async start() {
      const child = execa(file, args, { cwd, env, reject: false, stdin: 'ignore', all: true, buffer: false })
      child.all.pipe(createWriteStream(log, { flags: 'a' }))
      running = child
      let ended = false
      void child.then(() => {
        ended = true
      })
      const deadline = Date.now() + 30_000
      while (!(await answers(readyUrl))) {
        if (ended || Date.now() > deadline)
          throw new Error(`${file} is not ready:\n${readFileSync(log, 'utf8').slice(-3000)}`)
        await sleep(100)
      }
    },
    async stop() {
      const child = running
      running = undefined
      child?.kill('SIGTERM')
      const killer = setTimeout(() => child?.kill('SIGKILL'), 10_000)
      await child
      clearTimeout(killer)
    },
  }
}

const answers = (url: string): Promise<boolean> =>
  fetch(url).then(
    response => response.ok,
    () => false,
  )
