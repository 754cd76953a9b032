import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MODEL, type Pages, resultWith, startPages, UID } from './pages.ts'
import { launchBrowser } from './support.ts'

/** Whatever it lands in (text, an attribute in either kind of quotes, a script), it would break out and leave a trace. */
const HOSTILE = `"'></script><script>window.broken=1</script><img src=x onerror="window.broken=1"> &lt; \u202Eשלום`

const hostile = {
  ...withHostileText(MODEL),
  order_uid: 'hostile',
}

const WITHOUT_SCRIPT: BrowserContextOptions = { javaScriptEnabled: false }

let browser: Browser
let pages: Pages

beforeAll(async () => {
  browser = await launchBrowser()
  pages = await startPages(browser, { orders: [MODEL, hostile] })
})

afterAll(async () => {
  await browser?.close()
  await pages?.[Symbol.asyncDispose]()
})

describe('what an order holds is only ever text', () => {
  it('on the order page, and in the list of the latest orders', () =>
    pages.visit('/?uid=hostile', async page => {
      await resultWith(page, 'Delivery')
      await page.locator('#latest-list', { hasText: 'hostile' }).waitFor()
      pages.store({ ...hostile, order_uid: 'hostile-too' })
      await page.locator('#latest-list', { hasText: 'hostile-too' }).waitFor()
      await holdsItAsText(page, 'main')
      expect(await page.locator('#latest-list').textContent()).toContain(HOSTILE)
    }))

  it('on the page without JavaScript, which would run scripts if there were any', () =>
    pages.visit('/view?order_uid=hostile', page => holdsItAsText(page, 'main')))

  it.each(['/?uid=', '/view?order_uid='])('also when it stands in the address: %s', path =>
    pages.visit(path + encodeURIComponent(HOSTILE), async page => {
      await resultWith(page, 'This is not an order uid')
      expect(await page.evaluate('window.broken')).toBeUndefined()
      expect(await page.locator('#uid').inputValue()).toContain('<script>')
    }),
  )

  it('in what is said about a file that was not taken', () =>
    pages.visit('/', async page => {
      const buffer = Buffer.from(JSON.stringify({ [HOSTILE]: 1, order_uid: HOSTILE, items: HOSTILE }))
      await page.locator('#order-file').setInputFiles({ name: 'order.json', mimeType: 'application/json', buffer })
      await page.locator('#send').click()
      await page.locator('#create-answer', { hasText: 'This is not a valid order' }).waitFor()
      expect(await page.evaluate('window.broken')).toBeUndefined()
    }))
})

describe('without JavaScript', () => {
  it('an order is found by the search form, and looks as it does with it', async () => {
    let withScript = ''
    await pages.visit(`/?uid=${UID}`, async page => {
      await resultWith(page, 'From')
      // It comes after the order, with an answer of its own.
      await page.locator('.story').waitFor()
      withScript = await textOf(page)
    })
    await pages.visit(
      '/',
      async page => {
        await page.locator('#uid').fill(` ${UID} `)
        await page.keyboard.press('Enter')
        await resultWith(page, 'Test Testov')
        expect(page.url()).toContain('/view?order_uid=')
        expect(await textOf(page)).toBe(withScript)
        await page.locator('#uid').fill('nobody')
        await page.getByRole('button', { name: 'Find' }).click()
        await resultWith(page, 'No order has this uid')
      },
      WITHOUT_SCRIPT,
    )
  })
})

/** The order as it is read, but for where it came from and the button that needs JavaScript. */
async function textOf(page: Page): Promise<string> {
  const cards = await page.locator('.order h2, .card:not(.raw), #json').allTextContents()
  return cards.join('\n')
}

async function holdsItAsText(page: Page, place: string): Promise<void> {
  const shown = (await page.locator(place).textContent()) ?? ''
  // Each text of the order once and again in its JSON, where quotes are escaped.
  expect(shown.split(HOSTILE).length).toBeGreaterThan(20)
  expect(await page.evaluate('window.broken')).toBeUndefined()
  expect(await page.locator(`${place} script, ${place} img`).count()).toBe(0)
}

function withHostileText<T>(value: T): T {
  if (typeof value === 'string') return HOSTILE as T
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(withHostileText) as T
  return Object.fromEntries(Object.entries(value).map(([name, held]) => [name, withHostileText(held)])) as T
}
