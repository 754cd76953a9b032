import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ConsolePages, startConsole } from './console-pages.ts'
import { fillWith } from './console-stand-in.ts'
import { launchBrowser } from './support.ts'

let browser: Browser
let pages: ConsolePages

beforeAll(async () => {
  browser = await launchBrowser()
})
beforeEach(async () => {
  await pages?.[Symbol.asyncDispose]()
  pages = await startConsole(browser, { fill: inbox => fillWith(inbox, 60) })
})
afterAll(async () => {
  await browser?.close()
  await pages?.[Symbol.asyncDispose]()
})

const EMAIL = { reason: 'schema_violation', error: 'format', pointer: '/delivery/email' }
const row = (page: Page) => page.locator('#view tbody tr', { hasText: '/delivery/email' })

async function open(page: Page) {
  await row(page).getByRole('button', { name: 'Cause …' }).click()
  return page.getByRole('dialog')
}

describe('a cause', () => {
  it('is new until an operator says what it is, and asks for attention until then', () =>
    pages.visit('/admin', async page => {
      await row(page).locator('.state[data-state="new"]').waitFor()
      const health = page.locator('#glance')
      await health.getByText('3 causes are new. 60 dead letters are open').waitFor()
      expect(await health.getByText('Attention').count()).toBe(1)
      for (const pointer of ['/payment/amount', '/delivery/email', 'not_utf8']) {
        await page.locator('#view tbody tr', { hasText: pointer }).getByRole('button', { name: 'Cause …' }).click()
        const dialog = page.getByRole('dialog')
        await dialog.getByLabel('State').selectOption('known')
        await dialog.getByRole('button', { name: 'Save' }).click()
        await dialog.waitFor({ state: 'detached' })
      }
      await health.getByText('Nothing of it is new.').waitFor()
      await health.getByText('Healthy').waitFor()
    }))

  it('keeps owner and note, and the line for the shell says the same', () =>
    pages.visit('/admin', async page => {
      const dialog = await open(page)
      await dialog.getByLabel('State').selectOption('snoozed for 24 hours')
      await dialog.getByLabel('Owner').fill('ada')
      await dialog.getByLabel('Note').fill("ticket 4711: it's the form")
      await dialog.getByLabel('Why').fill('looked at')
      const { id } = pages.inbox.causeOf(EMAIL)
      expect(await dialog.locator('.cli code').textContent()).toBe(
        `bin/holdfast dlq cause --snooze 24h --owner ada --note 'ticket 4711: it'\\''s the form' ${id}`,
      )
      await dialog.getByRole('button', { name: 'Save' }).click()
      await page.getByText('The cause is snoozed, owner ada.').waitFor()
      await row(page).locator('.state[data-state="snoozed"]').waitFor()
      expect(await row(page).textContent()).toContain("ticket 4711: it's the form")
      expect(await row(page).textContent()).toMatch(/until \d+ \w+ \d{4}/)
      await page.getByRole('link', { name: 'Audit log' }).click()
      await page.locator('.audit').getByText('looked at').waitFor()

      await page.goBack()
      const again = await open(page)
      await again.getByLabel('Owner').fill('')
      await again.getByRole('button', { name: 'Save' }).click()
      await again.waitFor({ state: 'detached' })
      await expect.poll(() => row(page).textContent()).not.toContain('owner ada')
      expect(pages.inbox.causeOf(EMAIL)).toMatchObject({ state: 'snoozed', owner: null })
    }))

  it('that came back says when, and with which version', async () => {
    const since = new Date(Date.now() - 3 * 3_600_000).toISOString()
    Object.assign(pages.inbox.causeOf(EMAIL), { state: 'regressed', since, version: '1.5.0', owner: 'ada' })
    await pages.visit('/admin', async page => {
      await row(page).locator('.state[data-state="regressed"]').waitFor()
      expect(await row(page).locator('.cause-line').textContent()).toBe('came back 3 h ago, with 1.5.0owner ada')
      await page.locator('#glance').getByText('2 causes are new; 1 cause came back.').waitFor()
    })
  })

  it('is left as it is when nothing was changed, and a failure is shown in the dialog', () =>
    pages.visit('/admin', async page => {
      const dialog = await open(page)
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.waitFor({ state: 'detached' })
      expect(pages.inbox.log).toEqual([])
      await open(page)
      await page.route('**/admin/dead-letters/causes/*', route =>
        route.fulfill({ status: 404, json: { status: 404, code: 'no_such_cause', detail: 'There is no cause.' } }),
      )
      await dialog.getByLabel('State').selectOption('known')
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByRole('alert').getByText('There is no cause.').waitFor()
    }))
})
