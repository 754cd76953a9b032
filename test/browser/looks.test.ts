import { readFileSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MODEL, type Pages, resultWith, startPages } from './pages.ts'
import { launchBrowser, screenshot } from './support.ts'

const AXE = readFileSync(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')

const LARGE = {
  ...MODEL,
  order_uid: 'b563feb7b2b84b6large',
  payment: { ...MODEL.payment, amount: 1_234_567, goods_total: 951, custom_fee: 40 },
  items: [0, 1, 2].map(position => ({ ...MODEL.items[0], chrt_id: position, brand: 'Ærø & Søn' })),
}
const LATEST = Array.from({ length: 8 }, (_, index) => ({
  ...MODEL,
  order_uid: `b563feb7b2b84b6x${index}`,
  payment: { ...MODEL.payment, amount: 10 ** index },
}))
const LONGEST = { ...MODEL, order_uid: 'x'.repeat(64) }

const DESKTOP = { width: 1100, height: 800 }
const PHONE = { width: 375, height: 740 }
const LOOKS = [
  { name: 'light', colorScheme: 'light', viewport: DESKTOP, audited: true },
  { name: 'dark', colorScheme: 'dark', viewport: DESKTOP, audited: false },
  { name: 'phone', colorScheme: 'light', viewport: PHONE, audited: false },
  { name: 'phone-dark', colorScheme: 'dark', viewport: PHONE, audited: true },
] as const

let browser: Browser
let pages: Pages
let locked: Pages

beforeAll(async () => {
  browser = await launchBrowser()
  pages = await startPages(browser, { orders: [LARGE, LONGEST, ...LATEST] })
  locked = await startPages(browser, { keyless: 'nobody' })
})

afterAll(async () => {
  await browser?.close()
  await pages?.[Symbol.asyncDispose]()
  await locked?.[Symbol.asyncDispose]()
})

describe('in light and dark, on a desk and on a phone, every page fits its window and can be used by anybody', () => {
  it('searching, an order, nothing found, a file that was not taken', () =>
    pages.visit('/', async page => {
      await page.locator('#latest-list', { hasText: LATEST[7]?.order_uid ?? '' }).waitFor()
      await looksWell(page, 'search')
      await find(page, LARGE.order_uid, '3 items')
      await page.locator('summary').click()
      await looksWell(page, 'order')
      await find(page, LONGEST.order_uid, 'Test Testov')
      await fits(page)
      await find(page, 'nobody', 'No order has this uid')
      const buffer = Buffer.from(JSON.stringify({ ...MODEL, track_number: undefined, items: [{}] }))
      const file = { name: 'order-of-yesterday.json', mimeType: 'application/json', buffer }
      await page.locator('#order-file').setInputFiles(file)
      await page.locator('#send').click()
      await page.locator('#create-answer', { hasText: 'This is not a valid order' }).waitFor()
      await looksWell(page, 'refused')
    }))

  it('an order without JavaScript', () =>
    pages.visit(`/view?order_uid=${LARGE.order_uid}`, async page => {
      await resultWith(page, '3 items')
      await looksWell(page, 'view')
    }))

  it('asking for a key', () =>
    locked.visit('/', async page => {
      await page.locator('#key').waitFor()
      await looksWell(page, 'key')
    }))

  it('the API, without help from elsewhere', () =>
    pages.visit('/docs', async page => {
      await page.locator('.opblock', { hasText: '/orders/create' }).first().waitFor()
      await screenshot(page, 'docs-light')
      await page.locator('.opblock', { hasText: '/order/{uid}' }).first().locator('button').first().click()
      await page.getByRole('button', { name: 'Try it out' }).first().click()
      await page.getByPlaceholder('uid').fill(LARGE.order_uid)
      await page.getByRole('button', { name: 'Execute' }).click()
      await page.locator('.live-responses-table', { hasText: 'Test Testov' }).waitFor()
      await page.setViewportSize(PHONE)
      await fits(page)
    }))
})

async function find(page: Page, uid: string, expected: string): Promise<void> {
  await page.locator('#uid').fill(uid)
  await page.locator('#uid').press('Enter')
  await resultWith(page, expected)
}

/** axe looks at two of the four: between them they have both widths and both sets of colours. */
async function looksWell(page: Page, name: string): Promise<void> {
  for (const { name: look, colorScheme, viewport, audited } of LOOKS) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.setViewportSize(viewport)
    await screenshot(page, `${name}-${look}`)
    await fits(page)
    if (audited) await hasNoBarriers(page)
  }
}

/** The script goes over by the debugger, which the content security policy does not hold. */
async function hasNoBarriers(page: Page): Promise<void> {
  await page.evaluate(AXE)
  const { violations } = (await page.evaluate(`axe.run()`)) as {
    violations: readonly { id: string; help: string; nodes: readonly { html: string }[] }[]
  }
  expect(violations.map(({ id, help, nodes }) => ({ id, help, at: nodes.map(({ html }) => html) }))).toEqual([])
}

async function fits(page: Page): Promise<void> {
  expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0)
}
