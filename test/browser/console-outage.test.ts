import { createHash } from 'node:crypto'
import type { Page } from 'playwright-core'
import { expect, it, onTestFinished } from 'vitest'
import { wireToPostgres } from '../support/faults/wire-to-postgres.ts'
import { watchHeldUp } from '../support/held-up.ts'
import { anOrder } from '../support/orders.ts'
import { ownKafka, ownPostgres } from '../support/own-servers.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'
import { KEY, visitsOf } from './console-pages.ts'
import { looksWell } from './looks.ts'
import { launchBrowser, screenshot } from './support.ts'

streamTools()

const API_KEYS = `ada:admin:${createHash('sha256').update(KEY).digest('hex')}`
const LETTERS = 30
const ORDERS = 5
/** A tab that is opened in an outage shows what is known without a word from the servers that are silent. */
const AT_ONCE_MS = 5_000

it('in an outage of Postgres, of both, and of Kafka, the console says at once what is known and how old it is, and comes back by itself', async () => {
  // Given a stream with dead letters, and servers that can fall silent
  const [kafka, postgres] = await Promise.all([ownKafka(), ownPostgres()])
  const stream = await aStream({ brokers: kafka.brokers, databaseUrl: await postgres.createDatabase('outage') })
  const wire = await wireToPostgres(stream.databaseUrl)
  const env = { API_KEYS, AUTH: 'off' }
  const service = await startService({ ...stream, brokers: kafka.brokers, databaseUrl: wire.url, env })
  await stream.produce([
    ...Array.from({ length: LETTERS }, (_, n) => ({ value: `{"order_uid":"bad-${n}"}` })),
    ...Array.from({ length: ORDERS }, (_, n) => ({ value: JSON.stringify(anOrder({ uid: `good-${n}` })) })),
  ])
  await eventually(async () => (await stream.settled()) === LETTERS + ORDERS, 'all being settled')
  await eventually(() => isReady(service), 'the service being ready')
  const letter = String((await stream.query('SELECT id FROM holdfast.dead_letters LIMIT 1'))[0]?.id)
  const browser = await launchBrowser()
  onTestFinished(() => browser.close())
  const { visit } = visitsOf(browser, service.url)

  await visit('/admin', async open => {
    await health(open, 'Attention', new RegExp(`^Running and up to date\\. .*${LETTERS} dead letters are open`))
    await open.locator('#view tbody tr').first().waitFor()

    // When Postgres falls silent, and records come
    wire.set({ kind: 'black-hole' })
    await stream.produce(
      Array.from({ length: 4 }, (_, n) => ({ value: JSON.stringify(anOrder({ uid: `late-${n}` })) })),
    )

    // Then an open tab is not green, what is old says how old, what the process knows is of now, and the list stays
    await health(open, 'Trouble', /Postgres (has not answered|has been unreachable) for/)
    await expect.poll(() => figure(open, 'Open dead letters')).toMatch(new RegExp(`${LETTERS}.*\\d+ s ago`))
    await expect.poll(() => figure(open, 'Lag')).toMatch(/^Lag[1-9].*4 records/)
    await open.locator('#connection', { hasText: 'what is listed below is at least that old' }).waitFor()
    expect(await open.locator('#view tbody tr').count()).toBe(1)
    await screenshot(open, 'console-outage-postgres')

    // And a new tab shows the same at once, and the search page does not say that there are no orders
    await visit('/admin', async fresh => {
      await shownAtOnce(fresh.locator('.health', { hasText: /Postgres (has not answered|has been unreachable)/ }))
      expect(await figure(fresh, 'Open dead letters')).toMatch(new RegExp(`${LETTERS}.*ago`))
      await fresh.locator('#view .notice', { hasText: 'Postgres' }).waitFor()
      await visit('/', async search => {
        await search.getByText(/Reading the latest orders|The database cannot be read just now/).waitFor()
        expect(await search.getByText('There are no orders yet').count()).toBe(0)
      })

      // When Kafka falls silent as well
      kafka.kill('SIGSTOP')

      // Then both are told
      await eventually(async () => {
        const said = (await open.locator('.health-line').textContent()) ?? ''
        return (
          /Postgres (has not answered|has been unreachable)/.test(said) &&
          /Kafka (has not answered|has been unreachable)/.test(said)
        )
      }, 'both being told')
      await looksWell(open, 'console-outage-both', { phoneWidth: 360 })

      // When Postgres answers again
      wire.set({ kind: 'pass' })

      // Then both tabs come back by themselves, also the one that had never seen the list
      await fresh.locator('#view tbody tr').first().waitFor()
      await open.locator('.health-line', { hasText: `${LETTERS} dead letters are open` }).waitFor()
      await health(open, 'Trouble', /^Kafka (has not answered|has been unreachable)/)
    })

    // And a dead letter shows what the index knows while Kafka is away
    await visit(`/admin?letter=${letter}`, async page => {
      await shownAtOnce(page.locator('[data-card="Why it is here"]', { hasText: 'schema_violation' }))
      await page.locator('[data-card="Value"]', { hasText: 'Kafka' }).waitFor()
      await looksWell(page, 'console-outage-letter', { phoneWidth: 360 })

      // And its bytes once Kafka is back
      kafka.kill('SIGCONT')
      await page.locator('.payload').waitFor()
    })
    await health(open, 'Attention', /^Running and up to date/)
    await open.locator('#connection').waitFor({ state: 'hidden' })
  })
  await eventually(async () => (await stream.settled()) === LETTERS + ORDERS + 4, 'the late ones being settled')

  // And afterwards the outages stand in the time line, beside the records and the dead letters
  await visit('/admin?view=timeline&span=15m', async page => {
    await page.locator('.stop-name', { hasText: 'Postgres unreachable' }).waitFor()
    await page.locator('.stop-name', { hasText: 'Kafka unreachable' }).waitFor()
    await page.locator('.chosen', { hasText: `${LETTERS + ORDERS + 4} records settled` }).waitFor()
    await page.locator('.chosen', { hasText: `${LETTERS} dead letters` }).waitFor()
    await looksWell(page, 'console-timeline-after-outage', { phoneWidth: 360 })
    await page.getByRole('link', { name: 'Dead letters of this span' }).click()
    await page.locator('.letters tbody tr').first().waitFor()
    await page.locator('.summary', { hasText: `${LETTERS} dead letters` }).waitFor()
  })
  // Two outages, and servers of its own: half a minute, and on a machine that is busy with others minutes.
}, 600_000)

async function health(page: Page, sign: string, words: string | RegExp): Promise<void> {
  await page.locator('.sign', { hasText: sign }).waitFor()
  await page.locator('.health', { hasText: words }).waitFor()
}

/** Name, value and what stands below it, as one text. */
async function figure(page: Page, name: string): Promise<string> {
  return (await page.locator('.figure', { hasText: name }).textContent()) ?? ''
}

async function shownAtOnce(part: { waitFor(): Promise<void> }): Promise<void> {
  const heldUpMs = watchHeldUp()
  const askedAtMs = performance.now()
  await part.waitFor()
  expect(performance.now() - askedAtMs).toBeLessThan(AT_ONCE_MS + heldUpMs())
}
