import { readFileSync } from 'node:fs'
import type { Browser, BrowserContextOptions, Page, Request } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCache } from '#src/cache/cache.ts'
import { StoreUnavailableError } from '#src/core/errors.ts'
import type { StoredValue } from '#src/core/ports.ts'
import { type HttpServer, startHttp } from '#src/http/server.ts'
import { httpParts } from '../support/http-parts.ts'
import { launchBrowser, openPage, screenshot } from './support.ts'

const MODEL = JSON.parse(readFileSync(new URL('../../data/model.json', import.meta.url), 'utf8'))
const UID: string = MODEL.order_uid
const MARKUP = '<script>window.broken = true</script><img src=x onerror="window.broken = true">'

const ORDERS: Readonly<Record<string, object>> = {
  [UID]: MODEL,
  hostile: {
    ...MODEL,
    order_uid: 'hostile',
    delivery: { ...MODEL.delivery, name: MARKUP },
    items: [{ ...MODEL.items[0], name: MARKUP, brand: MARKUP }],
  },
  large: {
    ...MODEL,
    order_uid: 'large',
    payment: { ...MODEL.payment, amount: 1_234_567, goods_total: 951, custom_fee: 40 },
    items: [0, 1, 2].map(position => ({ ...MODEL.items[0], chrt_id: position, brand: 'Ærø & Søn' })),
  },
}

let browser: Browser
let server: HttpServer

beforeAll(async () => {
  browser = await launchBrowser()
  const read = async (uid: string): Promise<StoredValue | undefined> => {
    if (uid === 'store-is-away') throw new StoreUnavailableError('connection refused')
    const order = ORDERS[uid]
    if (order === undefined) return undefined
    const origin = { topic: 'orders', partition: 0, offset: 0n, timestampMs: 0 }
    return { uid, json: Buffer.from(JSON.stringify(order)), origin }
  }
  server = await startHttp({
    ...httpParts(),
    cache: createCache({ maxBytes: 1 << 20, ttlMs: 0, reader: { read, async *newest() {} } }),
  })
})

afterAll(async () => {
  await browser?.close()
  await server?.close()
})

/** Opens the page, tells its story, and holds that nothing went wrong in the console meanwhile. */
async function visit(path: string, story: (page: Page) => Promise<void>, options: BrowserContextOptions = {}) {
  const { page, wrong, close } = await openPage(browser, options)
  try {
    await page.goto(server.url + path)
    await story(page)
    expect(wrong).toEqual([])
  } finally {
    await close()
  }
}

/** Resolves with the text of the result once it holds `expected`. */
async function resultWith(page: Page, expected: string): Promise<string> {
  await page.locator('#result', { hasText: expected }).waitFor()
  return (await page.locator('#result').textContent()) ?? ''
}

describe('the order page', () => {
  it('shows an order whose uid is pasted with spaces and quotes, at an address that can be kept', () =>
    visit('/', async page => {
      await page.locator('#uid').fill(`  "${UID}",\n`)
      await page.keyboard.press('Enter')
      const shown = await resultWith(page, 'Test Testov')
      for (const part of [
        'Kiryat Mozkin',
        '+9720000000',
        '1,817 USD',
        '1,500 USD',
        'Mascaras',
        'Vivienne Sabo',
        '202',
      ]) {
        expect(shown).toContain(part)
      }
      expect(shown).toContain('26 Nov 2021, 06:22:19 UTC')
      expect(page.url()).toBe(`${server.url}/?uid=${UID}`)
      expect(await page.title()).toContain(UID)
      expect(await page.locator('#status').textContent()).toContain('found')
    }))

  it('tells whether the answer came from the database or from memory', () =>
    visit('/?uid=large', async page => {
      await resultWith(page, 'From the database')
      await page.reload()
      const shown = await resultWith(page, 'From memory')
      expect(shown).toMatch(/\d ms/)
    }))

  it('points at sums that do not add up', () =>
    visit('/?uid=large', async page => {
      const shown = await resultWith(page, '1,234,567 USD')
      expect(shown).toContain('The parts add up to 2,491 USD.')
      expect(await page.getByRole('heading', { name: '3 items' }).count()).toBe(1)
    }))

  it('shows the JSON as it was served, and copies it', () =>
    visit(
      `/?uid=${UID}`,
      async page => {
        await resultWith(page, 'Test Testov')
        await page.locator('summary').click()
        expect(JSON.parse((await page.locator('#json').textContent()) ?? '')).toEqual(MODEL)
        await page.locator('#copy').click()
        await page.getByText('Copied').waitFor()
        // The tests have no DOM types: the script goes over as text.
        expect(JSON.parse(await page.evaluate('navigator.clipboard.readText()'))).toEqual(MODEL)
      },
      { permissions: ['clipboard-read', 'clipboard-write'] },
    ))

  it.each([
    ['nobody', 'No order has this uid'],
    ['not%20<a>%20uid!', 'This is not an order uid'],
    ['store-is-away', 'The database cannot be reached just now'],
  ])('says in plain words what is wrong: %s', (uid, words) =>
    visit(`/?uid=${uid}`, async page => {
      await resultWith(page, words)
      expect(await page.locator('#status').textContent()).toContain(words)
    }),
  )

  it('says that the service does not answer, and tries again when asked', () =>
    visit('/', async page => {
      await page.route('**/order/*', route => route.abort())
      await page.locator('#uid').fill(UID)
      await page.keyboard.press('Enter')
      await resultWith(page, 'The service did not answer')
      await page.unroute('**/order/*')
      await page.getByRole('button', { name: 'Try again' }).click()
      await resultWith(page, 'Test Testov')
    }))

  it('takes what an order holds for text, whatever it looks like', () =>
    visit('/?uid=hostile', async page => {
      expect(await resultWith(page, 'Delivery')).toContain(MARKUP)
      expect(await page.evaluate('window.broken')).toBeUndefined()
      expect(await page.locator('#result script, #result img').count()).toBe(0)
    }))

  it('can be used by keyboard alone', () =>
    visit('/', async page => {
      await page.keyboard.type('nobody')
      await page.keyboard.press('Enter')
      await resultWith(page, 'No order has this uid')
      // To the button, and back by the short cut.
      await page.keyboard.press('Tab')
      await page.keyboard.press('/')
      await page.keyboard.type(UID)
      await page.keyboard.press('Enter')
      await resultWith(page, 'Test Testov')
      await page.goBack()
      await resultWith(page, 'No order has this uid')
      expect(await page.locator('#uid').inputValue()).toBe('nobody')
    }))

  it('offers the sample order', () =>
    visit('/', async page => {
      await page.locator('#example').click()
      await resultWith(page, 'Test Testov')
    }))

  it('does not let a slow answer overtake a newer one', () =>
    visit('/', async page => {
      const held = Promise.withResolvers<void>()
      const isSlowOne = (request: Request) => request.url().endsWith(`/order/${UID}`)
      const ended = Promise.race([
        page.waitForEvent('requestfinished', isSlowOne),
        page.waitForEvent('requestfailed', isSlowOne),
      ])
      await page.route(`**/order/${UID}`, async route => {
        await held.promise
        await route.continue().catch(() => {})
      })
      await page.locator('#uid').fill(UID)
      await page.keyboard.press('Enter')
      await resultWith(page, 'Looking')
      await page.locator('#uid').fill('nobody')
      await page.keyboard.press('Enter')
      await resultWith(page, 'No order has this uid')
      held.resolve()
      await ended
      // Two frames: whatever the page still does about it has been done by then.
      await page.evaluate('new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')
      await resultWith(page, 'No order has this uid')
    }))

  it.each([
    ['light', { colorScheme: 'light', viewport: { width: 1100, height: 800 } }],
    ['dark', { colorScheme: 'dark', viewport: { width: 1100, height: 800 } }],
    ['phone', { colorScheme: 'light', viewport: { width: 375, height: 740 } }],
    ['phone-dark', { colorScheme: 'dark', viewport: { width: 375, height: 740 } }],
  ] as const)('fits its window and is legible: %s', (name, options) =>
    visit(
      '/',
      async page => {
        await screenshot(page, `search-${name}`)
        await page.locator('#uid').fill('large')
        await page.keyboard.press('Enter')
        await resultWith(page, '3 items')
        await screenshot(page, `order-${name}`)
        expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0)
        await page.goto(`${server.url}/?uid=nobody`)
        await resultWith(page, 'No order has this uid')
        await screenshot(page, `not-found-${name}`)
      },
      options,
    ),
  )
})
