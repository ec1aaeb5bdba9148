import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startCheck } from '../../../src/restore/steps/start-check.ts'
import { scratch } from '../../support/scratch.ts'
import { stepContext } from '../../support/step-context.ts'

/** A server and a client that are shell scripts: how a server that is asked to end is waited for. */
function check(server: string, client: string) {
  const dir = scratch()
  const [runDir, datadir, socketDir] = ['run', 'data', 'socket'].map(name => join(dir, name)) as [
    string,
    string,
    string,
  ]
  mkdirSync(runDir)
  mkdirSync(datadir)
  mkdirSync(join(dir, 'bin'))
  writeFileSync(join(dir, 'bin/mariadb'), `#!/bin/sh\nread -r line\n[ -e ${datadir}/ready ] || exit 1\n${client}\n`, {
    mode: 0o755,
  })
  vi.stubEnv('PATH', `${join(dir, 'bin')}:${process.env.PATH}`)
  onTestFinished(() => void vi.unstubAllEnvs())
  const { context, store } = stepContext(runDir, 'finalizing', { datadir })
  const command = { file: 'sh', args: ['-c', server, 'sh', `--socket=${socketDir}/socket`] }
  const done = startCheck(
    context,
    { kind: 'start_check', phase: 'finalizing', element: 1, command },
    join(dir, 'none'),
    { askEvery: 20, answerWithin: 1000, shutdownWithin: 300, termWithin: 300 },
  )
  return { done, dir, socketDir, store }
}

const ANSWERS = `case $line in
  *SHUTDOWN*) exit 1;;
  *VERSION*) echo 10.11.19-MariaDB;;
  *IFNULL*) printf 'user\\tAria\\n';;
  CHECK*) printf 'mysql.user\\tcheck\\tstatus\\tOK\\n';;
  *'SELECT 1'*) echo 1;;
esac`

const LOOP = 'touch ready; while :; do sleep 0.05; done'

test('a server that hears neither SHUTDOWN nor SIGTERM is killed within the bound', async () => {
  const startedAtMs = performance.now()
  const { done, dir, socketDir, store } = check(`trap "" TERM INT; ${LOOP}`, ANSWERS)
  await expect(done).rejects.toMatchObject({
    code: 'server_failed',
    message: expect.stringMatching(/did not end within .* and was killed/),
    hint: expect.stringContaining('its tables were checked'),
  })
  expect(performance.now() - startedAtMs).toBeLessThan(10_000)
  expect(readdirSync(dir)).not.toContain('socket')
  expect(store.state.cleanup.created).not.toContain(socketDir)
})

test('a server without the statement SHUTDOWN ends by SIGTERM', async () => {
  const { done } = check(`trap "exit 0" TERM; ${LOOP}`, ANSWERS)
  await expect(done).resolves.toBeUndefined()
})

test('a client that hangs is given up, and asked again', async () => {
  const hangs = `if [ ! -e "$0.asked" ]; then touch "$0.asked"; exec sleep 60; fi\n${ANSWERS}`
  const { done } = check(`trap "exit 0" TERM; ${LOOP}`, hangs)
  await expect(done).resolves.toBeUndefined()
})

test('the socket’s directory is noted as created before it is made, lets nobody else in, and goes', async () => {
  const { done, dir, socketDir, store } = check(
    `stat -c %a "$(dirname "\${1#--socket=}")" > ../mode; trap "exit 0" TERM; ${LOOP}`,
    ANSWERS,
  )
  expect(store.state.cleanup.created).toContain(socketDir)
  await done
  expect(readFileSync(join(dir, 'mode'), 'utf8')).toBe('700\n')
  expect(existsSync(socketDir)).toBe(false)
  expect(store.state.cleanup.created).not.toContain(socketDir)
})
