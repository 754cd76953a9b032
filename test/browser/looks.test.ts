import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fits, looksWell } from './looks.ts'
import { MODEL, type Pages, resultWith, startPages } from './pages.ts'
import { launchBrowser } from './support.ts'

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

describe('in light and dark, on a large screen and on a phone, every page fits its window and can be used by anybody', () => {
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

  it('orders of a customer', () =>
    pages.visit(`/?customer_id=${MODEL.customer_id}`, async page => {
      await page.locator('.found li').first().waitFor()
      await looksWell(page, 'found')
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

  it('nothing at an address, and what the checks say', async () => {
    await pages.visit('/nothing-here', async page => {
      await page.getByRole('heading', { name: 'There is nothing at this address' }).waitFor()
      await looksWell(page, 'not-found')
    })
    await pages.visit('/readyz', async page => {
      await page.getByRole('heading', { name: 'Not ready' }).waitFor()
      expect(await page.locator('tbody tr').count()).toBe(2)
      await looksWell(page, 'not-ready')
    })
  })

  it('the API, without help from elsewhere', () =>
    pages.visit('/docs', async page => {
      await page.locator('.opblock', { hasText: '/orders/create' }).first().waitFor()
      await looksWell(page, 'docs')
      await page.locator('.opblock', { hasText: '/order/{uid}' }).first().locator('button').first().click()
      await page.getByRole('button', { name: 'Try it out' }).first().click()
      await page.getByPlaceholder('uid').fill(LARGE.order_uid)
      await page.getByRole('button', { name: 'Execute' }).click()
      await page.locator('.live-responses-table', { hasText: 'Test Testov' }).waitFor()
      await looksWell(page, 'docs-tried')
    }))
})

async function find(page: Page, uid: string, expected: string): Promise<void> {
  await page.locator('#uid').fill(uid)
  await page.locator('#uid').press('Enter')
  await resultWith(page, expected)
}
