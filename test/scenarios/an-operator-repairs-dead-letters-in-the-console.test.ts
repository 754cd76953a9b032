import { createHash } from 'node:crypto'
import type { Page } from 'playwright-core'
import { expect, it, onTestFinished } from 'vitest'
import type { Header } from '#src/engine/record.ts'
import { VERSION } from '#src/version.ts'
import { visitsOf } from '../browser/console-pages.ts'
import { launchBrowser } from '../browser/support.ts'
import { anOrder } from '../support/orders.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const KEY = 'operator-key'
const API_KEYS = `ada:admin:${createHash('sha256').update(KEY).digest('hex')}`
const LIMIT_BYTES = 4_096
const LARGE = 120
const INCOMPLETE = 40
const UNREADABLE = 20
const TRACE = 'c'.repeat(32)
const FOLLOWED: Header[] = [['traceparent', Buffer.from(`00-${TRACE}-${'d'.repeat(16)}-01`)]]

const large = (n: number) => JSON.stringify({ ...anOrder({ uid: `large-${n}` }), comment: 'x'.repeat(LIMIT_BYTES) })
const incomplete = (n: number) => {
  const order = anOrder({ uid: `incomplete-${n}` })
  return JSON.stringify({ ...order, payment: { ...order.payment, amount: undefined } })
}

it('from the causes to each outcome, with what passes now redriven, the rest edited or discarded, and all of it audited', async () => {
  // Given dead letters of three causes, one of which has been done away with since: records may be larger now
  const stream = await aStream()
  const strict = await startService({ ...stream, env: { RECORD_MAX_BYTES: String(LIMIT_BYTES) } })
  await stream.produce([
    ...Array.from({ length: LARGE }, (_, n) => ({ value: large(n), partition: n % 3 })),
    ...Array.from({ length: INCOMPLETE }, (_, n) => ({ value: incomplete(n), partition: n % 3, headers: FOLLOWED })),
    ...Array.from({ length: UNREADABLE }, (_, n) => ({ value: Buffer.from([0x7b, 0xff, n]), partition: n % 3 })),
  ])
  const total = LARGE + INCOMPLETE + UNREADABLE
  await eventually(async () => (await stream.settled()) === total, 'all being set aside')
  expect(await strict.stop()).toBe(0)
  const service = await startService({ ...stream, env: { API_KEYS, TRACE_URL: 'http://viewer.test/{trace_id}' } })
  await eventually(() => isReady(service), 'the service being ready')
  const browser = await launchBrowser()
  onTestFinished(() => browser.close())
  const { visitWithoutKey } = visitsOf(browser, service.url)

  await visitWithoutKey('/admin', async page => {
    page.setDefaultTimeout(30_000)
    const view = page.locator('#view')
    const dialog = page.getByRole('dialog')
    await page.locator('#key').fill(KEY)
    await page.keyboard.press('Enter')

    // The causes, then the letters of one, then one of them: masked, then revealed, then checked
    await page.getByText(`${total} dead letters are open`).waitFor()
    await expect.poll(() => view.locator('.count .big').allTextContents()).toEqual(['120', '40', '20'])
    // Both services stand beside them: the first with this version was the deploy
    await page.locator('.glance .sub', { hasText: `${VERSION} deployed` }).waitFor()
    await view.locator('tbody tr', { hasText: 'schema_violation' }).locator('[data-main]').click()
    await expect.poll(() => view.locator('tbody tr').count()).toBe(INCOMPLETE)
    await view.locator('[data-main]').first().click()
    expect(await view.locator('.violating').textContent()).toContain('amount is missing required')
    expect(await view.locator('.payload').textContent()).toContain('•••')
    await view.locator(`a[href="http://viewer.test/${TRACE}"]`).waitFor()
    const edited = new URL(page.url()).searchParams.get('letter') ?? ''
    await page.getByRole('button', { name: 'Reveal (the audit log notes it)' }).click()
    await view.locator('.payload', { hasText: anOrder().delivery.name }).waitFor()
    await view.getByText('looked at in full by ada').waitFor()
    await page.getByRole('button', { name: 'Would it pass now?' }).click()
    await view.getByText('No: payment › amount is missing.').waitFor()

    // It is mended by hand, and its order is then where every order is
    await page.getByRole('button', { name: 'Edit and redrive …' }).click()
    const value = dialog.getByLabel('Value')
    await value.fill((await value.inputValue()).replace('"payment": {', '"payment": {\n    "amount": 1817,'))
    await dialog.getByText('It passes.').waitFor()
    await dialog.getByRole('button', { name: 'Redrive the edited value' }).click()
    await isDone(page)
    await expect.poll(() => outcomes(page)).toEqual({ resolved: 1 })
    await page.goto(`${service.url}/admin?letter=${edited}`)
    await view.locator('.meta [data-state="resolved"]').waitFor()
    await view.locator('[data-card="Record"] a').first().click()
    await page.locator('#result', { hasText: '1,817' }).waitFor()

    // What passes now is redriven by filter, at a rate, and followed to its end
    await page.goto(`${service.url}/admin?view=list`)
    await page.getByRole('button', { name: 'Would they pass now?' }).click()
    await page.getByText('Of 179 dead letters, 120 would pass now, 59 would not.').waitFor()
    await page.getByRole('button', { name: 'Redrive only those that pass' }).click()
    await dialog.getByText('Left out: 59 would not pass now.').waitFor()
    await dialog.getByLabel('Records a second').fill('60')
    await dialog.getByLabel('Why').fill('records may be larger')
    await dialog.getByLabel('Type 120 to confirm').fill('120')
    await dialog.getByRole('button', { name: 'Redrive 120' }).click()
    await isDone(page)
    await expect.poll(() => outcomes(page)).toEqual({ resolved: LARGE })
    const task = page.url()
    await page.reload()
    await isDone(page)
    expect(page.url()).toBe(task)
    await expect.poll(() => outcomes(page)).toEqual({ resolved: LARGE })
    expect(await stream.query('SELECT 1 FROM orders')).toHaveLength(LARGE + 1)

    // Another one, slow enough to be watched, is paused and cancelled: what was published failed again, the others are open
    await page.goto(`${service.url}/admin?q=state%3Aopen+reason%3Aschema_violation`)
    await page.getByRole('button', { name: 'Redrive all 39 …' }).click()
    await dialog.getByLabel('Records a second').fill('1')
    await dialog.getByRole('button', { name: 'Redrive 39' }).click()
    await view.getByText('a second now').waitFor()
    await expect.poll(() => outcomes(page)).toHaveProperty('failed_again')
    await page.getByRole('button', { name: 'Pause' }).click()
    await view.locator('.redrive-state [data-state="paused"]').waitFor()
    await page.getByRole('button', { name: 'Cancel …' }).click()
    await dialog.getByRole('button', { name: 'Cancel the redrive' }).click()
    await view.locator('.redrive-state [data-state="cancelled"]').waitFor()
    await page.goto(`${service.url}/admin?q=state%3Aopen+reason%3Aschema_violation`)
    await page.getByText('39 dead letters').first().waitFor()

    // What cannot be repaired is discarded, reopened, and discarded again
    await page.goto(`${service.url}/admin?q=reason%3Amalformed_json+state%3Aopen`)
    for (const end of ['Undo', undefined]) {
      await page.getByRole('button', { name: 'Discard all 20 …' }).click()
      await dialog.getByLabel('Why').fill('noise of a test')
      await dialog.getByRole('button', { name: 'Discard 20' }).click()
      await page.getByText('20 dead letters discarded: noise of a test').waitFor()
      if (end !== undefined) {
        await page.getByRole('button', { name: end }).click()
        await page.getByText('20 dead letters reopened.').waitFor()
      }
    }

    // All of it is in the audit log, the latest first
    await page.getByRole('link', { name: 'Audit log' }).click()
    await view.locator('.audit').waitFor()
    const log = (await view.locator('tbody tr').allTextContents()).join('\n')
    for (const words of [
      'discard',
      'restore',
      'cancel',
      'pause',
      'redrive',
      'reveal',
      'records may be larger',
      'ada',
    ]) {
      expect(log).toContain(words)
    }
  })

  // Then every record is accounted for, also those that went round twice
  expect(await stream.findings()).toEqual([])
  const states = await stream.query<{ state: string; n: number }>(
    'SELECT state, count(*)::int AS n FROM holdfast.dead_letters GROUP BY 1',
  )
  expect(Object.fromEntries(states.map(({ state, n }) => [state, n]))).toEqual({
    resolved: LARGE + 1,
    open: INCOMPLETE - 1,
    discarded: UNREADABLE,
  })
})

async function isDone(page: Page): Promise<void> {
  await page.locator('.redrive-state [data-state="done"]').waitFor()
}

/** Those that are not zero. */
async function outcomes(page: Page): Promise<Record<string, number>> {
  const rows = await page
    .locator('.outcomes tr[data-part]')
    .evaluateAll(rows =>
      rows.map(row => [row.getAttribute('data-part'), row.querySelector('.number')?.textContent] as const),
    )
  return Object.fromEntries(
    rows.map(([name, count]) => [String(name), Number(count)] as const).filter(([, count]) => count > 0),
  )
}
