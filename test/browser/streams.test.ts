import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aReturn, type MemoryReturns, memoryReturns } from '../support/returns.ts'
import { type ConsolePages, startConsole } from './console-pages.ts'
import { fillWith } from './console-stand-in.ts'
import { looksWell } from './looks.ts'
import { MODEL, type Pages, resultWith, startPages } from './pages.ts'
import { launchBrowser } from './support.ts'

let browser: Browser
let pages: Pages
let consoles: ConsolePages
let returns: MemoryReturns

const HOSTILE = '<img src=x onerror="window.broken = true">'
const RETURN = {
  ...aReturn('r-100'),
  reason: HOSTILE,
  photos: [],
  address: { city: 'Kiryat Mozkin', zip: '', location: { lat: 32.8, lon: null } },
  tags: ['too small', 'colour'],
}

beforeAll(async () => {
  browser = await launchBrowser()
  returns = memoryReturns()
  returns.store(aReturn('r-1'), aReturn('r-2'), RETURN)
  pages = await startPages(browser, { orders: [MODEL], streams: [returns] })
  consoles = await startConsole(browser, { fill: inbox => fillWith(inbox, 20), streams: [memoryReturns()] })
})

afterAll(async () => {
  await browser?.close()
  await pages?.[Symbol.asyncDispose]()
  await consoles?.[Symbol.asyncDispose]()
})

describe('the search page of several streams', () => {
  it('goes from one to another, each with its values, its form and an address that can be kept', () =>
    pages.visit('/', async page => {
      const links = page.getByRole('navigation', { name: 'Streams' }).getByRole('link')
      expect(await links.allTextContents()).toEqual(['orders', 'returns'])
      await page.locator('#latest-list', { hasText: MODEL.order_uid }).waitFor()
      await links.nth(1).click()
      await page.locator('#latest-list', { hasText: 'r-100' }).waitFor()
      expect(await page.locator('#latest-list a').allTextContents()).toEqual(['r-100', 'r-2', 'r-1'])
      await page.locator('#uid').fill('r-2')
      await page.keyboard.press('Enter')
      await resultWith(page, 'shoe-42')
      expect(page.url()).toBe(`${pages.url}/?stream=returns&key=r-2`)
      await page.reload()
      await resultWith(page, 'shoe-42')
      const buffer = Buffer.from(JSON.stringify(aReturn('r-new')))
      await page.locator('#order-file').setInputFiles({ name: 'r.json', mimeType: 'application/json', buffer })
      await page.locator('#send').click()
      await page.locator('#create-answer', { hasText: 'The value is stored' }).waitFor()
      await page.locator('#latest-list', { hasText: 'r-new' }).waitFor()
      await page.locator('#uid').fill('nobody')
      await page.keyboard.press('Enter')
      await resultWith(page, 'No value has this key')
    }))

  it('shows a value with all its levels, as text, and looks well', () =>
    pages.visit('/?stream=returns&key=r-100', async page => {
      const shown = await resultWith(page, 'Kiryat Mozkin')
      for (const part of [HOSTILE, 'shoe-42', 'lat', '32.8', 'too small', 'none', 'empty'])
        expect(shown).toContain(part)
      expect(await page.evaluate('window.broken')).toBeUndefined()
      await looksWell(page, 'value')
    }))

  it('shows the same without JavaScript', async () => {
    const read = '.order h2, .card:not(.raw), #json'
    let withScript: string[] = []
    await pages.visit('/?stream=returns&key=r-100', async page => {
      await resultWith(page, 'Kiryat Mozkin')
      // It comes after the value, with an answer of its own.
      await page.locator('.story').waitFor()
      withScript = await page.locator(read).allTextContents()
    })
    await pages.visit(
      '/?stream=returns',
      async page => {
        await page.locator('#uid').fill('r-100')
        await page.keyboard.press('Enter')
        await resultWith(page, 'Kiryat Mozkin')
        expect(page.url()).toBe(`${pages.url}/view?stream=returns&key=r-100`)
        expect(await page.locator(read).allTextContents()).toEqual(withScript)
      },
      { javaScriptEnabled: false },
    )
  })
})

describe('the console of several streams', () => {
  it('names in its address which one it is about, and asks for that one alone', () =>
    consoles.visit('/admin', async page => {
      const asked: string[] = []
      page.on('request', request => {
        const { pathname, searchParams } = new URL(request.url())
        if (pathname.startsWith('/admin/')) asked.push(`${searchParams.get('stream')}`)
      })
      const links = page.getByRole('navigation', { name: 'Streams' }).getByRole('link')
      await page.locator('#view tbody tr').first().waitFor()
      expect(page.url()).toBe(`${consoles.url}/admin?stream=orders`)
      asked.length = 0
      await links.nth(1).click()
      await page.waitForURL(`${consoles.url}/admin?stream=returns`)
      await page.locator('#view tbody tr').first().waitFor()
      expect(await links.nth(1).getAttribute('aria-current')).toBe('page')
      expect(await page.locator('.cli code').first().textContent()).toMatch(/ --stream returns$/)
      await page.getByRole('link', { name: 'Audit log' }).click()
      await page.waitForURL(`${consoles.url}/admin?stream=returns&view=audit`)
      expect(await page.title()).toContain('returns')
      expect(asked.length).toBeGreaterThan(3)
      expect(new Set(asked)).toEqual(new Set(['returns']))
      await page.getByRole('link', { name: 'Dead letters', exact: true }).click()
      await page.locator('#view tbody tr').first().waitFor()
      await looksWell(page, 'console-streams')
    }))

  it('says which streams there are when the address names another one', () =>
    consoles.visit('/admin?stream=refunds', async page => {
      await page.getByText('There is no such stream here').waitFor()
      await page.locator('.notice').getByRole('link', { name: 'returns' }).click()
      await page.waitForURL(`${consoles.url}/admin?stream=returns`)
      await page.locator('#view tbody tr').first().waitFor()
    }))
})
