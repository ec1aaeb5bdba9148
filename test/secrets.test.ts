import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { scrubArguments, scrubText } from '../src/secrets.ts'

const secret = fc.stringMatching(/^[A-Za-z0-9+/_.~%$-]{6,40}$/).map(text => `S3CR${text}`)
const optionName = fc.constantFrom(
  ...['password', 'passphrase', 'encrypt-key', 'secret', 'token', 'aws-secret-access-key', 'ftp-password', 'api-key'],
)

describe('a secret never survives', () => {
  test('as an argument', () => {
    fc.assert(
      fc.property(optionName, secret, (name, value) => {
        const forms = [
          [`--${name}=${value}`],
          [`--${name}`, value],
          ['-pass', `pass:${value}`],
          ['-k', value],
          [`-p${value}`],
          [`https://u:${value}@host/x`],
          [`https://host/x?X-Amz-Signature=${value}`],
          ['-H', `Authorization: Bearer ${value}`],
          [`--defaults=pass:${value}`],
        ]
        for (const form of forms) {
          const scrubbed = scrubArguments(['tool', ...form, '--verbose'])
          expect(scrubbed).toHaveLength(form.length + 2)
          expect(scrubbed.join(' ')).not.toContain(value)
          expect([scrubbed[0], scrubbed.at(-1)]).toEqual(['tool', '--verbose'])
        }
      }),
    )
  })

  test('in a text', () => {
    fc.assert(
      fc.property(optionName, secret, (name, value) => {
        for (const text of [`--${name}=${value}`, `--${name} ${value}`, `--${name}='${value} x'`, `${name} = ${value}`])
          expect(scrubText(`a ${text} --b`), text).not.toContain(value)
        const url = scrubText(`GET s3://k:${value}@b/o?sig=${value}#f failed`)
        expect(url).not.toContain(value)
        expect(url).toMatch(/^GET s3:\/\/\*\*\*@b\/o\?\*\*\*.* failed$/)
      }),
    )
  })
})

test('a statement that a server prints keeps no password', () => {
  const said = [
    `Query: 'create user u@localhost identified by 's3cr\\'et'', Gtid 0-1-4`,
    'ALTER USER a IDENTIFIED WITH mysql_native_password BY "s3cret"',
    `GRANT ALL ON *.* TO u IDENTIFIED BY PASSWORD '*s3cretE9D'`,
    `CREATE USER u IDENTIFIED VIA unix_socket OR mysql_native_password USING 's3cret'`,
    `SET PASSWORD FOR u = PASSWORD('s3cret')`,
    `create user u identified by 's3cret`,
  ]
  for (const text of said) {
    expect(scrubText(text), text).not.toMatch(/s3c|et'/)
    expect(scrubText(scrubText(text))).toBe(scrubText(text))
  }
  expect(scrubText(said[0]!)).toBe("Query: 'create user u@localhost identified by ***")
})

test('what is no secret stays: key files, sizes, paths, plain URLs, ordinary sentences', () => {
  const harmless = [
    ...['--decrypt-key-file=/etc/key', '--passphrase-file', '/etc/phrase', '--use-memory=1G', '--target-dir=/data/x'],
    ...['https://store.example/full.xb', 'zstd', '-dc', '--long=31', '--parallel', '4'],
  ]
  expect(scrubArguments(harmless)).toEqual(harmless)
  for (const text of ['no space left on /data/a@b', 'wrong password', 'tokens left: 3', 'Is it 5? yes']) {
    expect(scrubText(text)).toBe(text)
  }
})

test('scrubbing twice changes nothing more', () => {
  fc.assert(
    fc.property(fc.string(), text => {
      const once = scrubText(text)
      expect(scrubText(once)).toBe(once)
    }),
  )
})

test.each(['a.', 'a-', '-', '.-', 'password', 'a://', 'a@:', '= '])('a long line of %j takes no time', piece => {
  const line = piece.repeat(16_384 / piece.length)
  const before = process.cpuUsage()
  scrubText(line)
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(2000)
})
