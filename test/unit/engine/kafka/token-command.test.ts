import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { commandTokens } from '#src/engine/kafka/token-command.ts'
import { loadConfig } from '#src/settings/config.ts'
import { eventually } from '../../../support/service.ts'
import { failureOf, jwt } from '../../../support/tokens.ts'

describe('a program that prints tokens', () => {
  const printing = (script: string, timeoutMs?: number) =>
    commandTokens({
      command: [process.execPath, '-e', script],
      extensions: {},
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    })

  it('prints JSON or a bare JWT', async () => {
    const json = await printing(`console.log(JSON.stringify({ token: 'abc', expiryTime: Date.now() + 900000 }))`).get()
    expect(json.token.value).toBe('abc')
    const bare = jwt({ sub: 'app', exp: Math.round(Date.now() / 1000) + 900 })
    expect((await printing(`console.log(${JSON.stringify(bare)})`).get()).token).toMatchObject({
      value: bare,
      principal: 'app',
    })
  })

  it('is run without a shell', async () => {
    const command = ['/bin/echo', '{"token":"abc","expires_in":60}', '$(exit', '1)']
    expect((await failureOf(commandTokens({ command, extensions: {} }).get())).message).toMatch(/characters that none/)
  })

  it.each<[string, () => ReturnType<typeof commandTokens>, RegExp, boolean]>([
    [
      'is not there',
      () => commandTokens({ command: ['/no/such'], extensions: {} }),
      /\/no\/such cannot be run \(ENOENT\)/,
      true,
    ],
    [
      'lies below a file',
      () => commandTokens({ command: ['/etc/passwd/sign'], extensions: {} }),
      /\/etc\/passwd\/sign cannot be run \(ENOTDIR\)/,
      true,
    ],
    [
      'fails, without what looks like a token',
      () => printing(`console.error('denied: ${'a'.repeat(40)}'); process.exit(3)`),
      /ended with 3 \(it says: denied: \*\*\*\); KAFKA_SASL_OAUTH_TOKEN_COMMAND must print/,
      false,
    ],
    ['does not end', () => printing('setInterval(() => {}, 1000)', 300), /did not end within 0\.3 s/, false],
    [
      'prints without end',
      () => printing(`process.stdout.write('a'.repeat(300 * 1024)); setInterval(() => {}, 1000)`),
      /printed more than 256 KiB/,
      false,
    ],
    ['prints nothing', () => printing(''), /printed no token that can be used: there is no access_token/, false],
  ])('and %s is named', async (_, source, expected, isMistake) => {
    const failure = await failureOf(source().get())
    expect(failure.message).toMatch(expected)
    expect(failure.isMistake).toBe(isMistake)
  })
  it('whose words repeat a secret of the settings is quoted without it', async () => {
    const script = `console.error('noise'); console.error('hunter2 is no password for eyJhbGciOi.x'); process.exit(1)`
    const env = {
      KAFKA_SECURITY_PROTOCOL: 'sasl_plaintext',
      KAFKA_SASL_MECHANISM: 'OAUTHBEARER',
      KAFKA_SASL_OAUTH_TOKEN_COMMAND: `${process.execPath} -e "${script}" -- --password hunter2`,
    }
    const { tokens } = loadConfig(env).kafka
    expect((await failureOf(tokens?.get() ?? Promise.resolve())).message).toMatch(
      /it says: \*\*\* is no password for \*\*\*\)/,
    )
  })

  it.each([
    ['takes too long', 'wait', 500],
    ['prints without end', 'head -c 300000 /dev/zero; wait', 60_000],
  ])('that %s is ended together with the programs that it has started', async (_, then, firstTimeoutMs) => {
    const command = ['/bin/sh', '-c', `sleep 600 & echo started $! >&2; ${then}`]
    let pid = 0
    // On a busy machine its time may be up before it has begun: the next one has more.
    for (let timeoutMs = firstTimeoutMs; !(pid > 0); timeoutMs *= 2) {
      const { message } = await failureOf(commandTokens({ command, extensions: {}, timeoutMs }).get())
      pid = Number(/it says: started (\d+)/.exec(message)?.[1])
    }
    await eventually(() => !isRunning(pid), `${pid}, which the program started, being gone`)
  })

  it('that is under way when the process ends is ended as well', async () => {
    const module = new URL('../../../../src/engine/kafka/token-command.ts', import.meta.url).href
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-token-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const note = join(folder, 'pid')
    const command = ['/bin/sh', '-c', `sleep 600 & echo $! > ${note}; wait`]
    const script = `import { commandTokens } from ${JSON.stringify(module)}
      import { existsSync, readFileSync } from 'node:fs'
      void commandTokens({ command: ${JSON.stringify(command)}, extensions: {} }).get()
      setInterval(() => existsSync('${note}') && readFileSync('${note}').length > 0 && process.exit(0), 20)`
    spawnSync(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' })
    const pid = Number(readFileSync(note, 'utf8'))
    await eventually(() => !isRunning(pid), `${pid}, which the program started, being gone`)
  })
})

/** What has ended may wait to be noticed by its parent. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
