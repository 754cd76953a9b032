import { readFileSync } from 'node:fs'
import { expect, it, onTestFinished } from 'vitest'
import { launchBrowser, openPage } from '../browser/support.ts'
import { generated } from '../support/model.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

/** What is open by then is cut off: a stream that nobody ends would hold the service up for so long. */
const CUT_OFF_AFTER_MS = 5_000

it('shows an order in a browser as it is stored, and closes although somebody watches', async () => {
  // Given a service, and a person who looks at its page
  const stream = await aStream()
  const service = await startService(stream)
  await eventually(() => isReady(service), 'the service being ready')
  const browser = await launchBrowser()
  onTestFinished(() => browser.close())
  const { page, wrong } = await openPage(browser)
  await page.goto(service.url)
  await page.getByText('There are no orders yet.').waitFor()

  // When orders arrive by the stream, the list shows the latest, and counts all of them
  const records = generated(50, { seed: 11 })
  await stream.produce(records)
  await page.getByText('50 stored since this page was opened.').waitFor()
  expect(await page.locator('#latest-list li').count()).toBeGreaterThanOrEqual(1)

  // When the person adds an order of this moment, it takes the same road, and stands on top: the list is ordered by the time that it shows
  const sample = JSON.parse(readFileSync(new URL('../../data/model.json', import.meta.url), 'utf8'))
  const model = Buffer.from(JSON.stringify({ ...sample, date_created: new Date().toISOString().replace(/\.\d+/, '') }))
  await page.locator('#order-file').setInputFiles({ name: 'model.json', mimeType: 'application/json', buffer: model })
  await page.locator('#send').click()
  await page.getByText('The order is stored').waitFor()
  const { order_uid: uid } = JSON.parse(model.toString())
  await eventually(async () => (await page.locator('#latest-list a').first().textContent()) === uid, 'its being on top')

  // Then it is found, and the JSON on the page is the order that was sent
  await page.locator('#create-answer a').click()
  await page.locator('#result', { hasText: 'Test Testov' }).waitFor()
  expect(JSON.parse((await page.locator('#json').textContent()) ?? '')).toEqual(JSON.parse(model.toString()))

  // And the service ends in order, and does not wait for the page, which holds a stream of it open
  expect(await service.stop()).toBe(0)
  const stopped = service.log.find(({ event }) => event === 'stream_stopped')
  expect(Date.now() - Date.parse(String(stopped?.time))).toBeLessThan(CUT_OFF_AFTER_MS - 1_000)
  await page.getByText('Not connected just now').waitFor()
  expect(wrong).toEqual([])
  expect(await stream.settled()).toBe(records.length + 1)
  expect(await stream.findings()).toEqual([])
})
