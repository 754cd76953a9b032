import { readFile } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ConsolePages, startConsole } from './console-pages.ts'
import { fillWith, fillWithThousand } from './console-stand-in.ts'
import { looksWell } from './looks.ts'
import { launchBrowser } from './support.ts'

let browser: Browser
let pages: ConsolePages

beforeAll(async () => {
  browser = await launchBrowser()
  pages = await startConsole(browser, { fill: fillWithThousand })
})

afterAll(async () => {
  await browser?.close()
  await pages?.[Symbol.asyncDispose]()
})

const PHONE_WIDTH = 360

async function options(page: Page): Promise<string[]> {
  return await page.locator('#filter-proposals [role="option"] code').allTextContents()
}

/** Types the filter. What proposes is loaded with the first focus. */
async function type(page: Page, text: string): Promise<void> {
  await page.locator('#filter').fill(text)
  await page.locator('#filter[aria-expanded="true"]').waitFor()
}

/** Whatever a screen reader would be told of. */
async function activeOption(page: Page): Promise<string | null> {
  const id = await page.locator('#filter').getAttribute('aria-activedescendant')
  return id === null ? null : await page.locator(`#${id} code`).textContent()
}

const filterText = (page: Page) => page.locator('#filter').inputValue()

async function filter(page: Page, text: string): Promise<void> {
  await page.locator('#filter').fill(text)
  await page.keyboard.press('Enter')
}

async function rowsBecome(page: Page, count: number): Promise<void> {
  await expect.poll(() => page.locator('#view tbody tr').count()).toBe(count)
}

describe('the filter is completed', () => {
  it('by keyboard: fields, then values that the letters have, and Enter alone filters by what is typed', () =>
    pages.visit('/admin?view=list', async page => {
      await rowsBecome(page, 50)
      const box = page.getByRole('combobox', { name: 'Filter' })
      await type(page, 'po')
      expect(await options(page)).toEqual(['pointer:'])
      expect(await activeOption(page)).toBeNull()
      await page.keyboard.press('ArrowDown')
      expect(await activeOption(page)).toBe('pointer:')
      await page.keyboard.press('Enter')
      expect(await filterText(page)).toBe('pointer:')
      await expect.poll(() => options(page)).toContain('/delivery/email')
      await page.keyboard.type('email')
      expect(await options(page)).toEqual(['/delivery/email'])
      await page.keyboard.press('ArrowUp')
      await page.keyboard.press('Enter')
      expect(await filterText(page)).toBe('pointer:/delivery/email ')
      expect(await box.getAttribute('aria-expanded')).toBe('false')
      await page.keyboard.press('Enter')
      await page.getByText('300 dead letters').waitFor()
      expect(new URL(page.url()).searchParams.get('q')).toBe('pointer:/delivery/email')
      // Without an arrow key nothing is taken.
      await type(page, 'st')
      expect(await options(page)).toEqual(['state:'])
      await page.keyboard.press('Enter')
      await page.getByText('Taken as text:st').waitFor()
    }))

  it('with Escape to close the list and, once more, to leave the field', () =>
    pages.visit('/admin?view=list', async page => {
      const box = page.getByRole('combobox', { name: 'Filter' })
      await type(page, 'state:')
      expect(await options(page)).toContain('failed_again')
      await page.keyboard.press('Escape')
      expect(await box.getAttribute('aria-expanded')).toBe('false')
      expect(await filterText(page)).toBe('state:')
      expect(await page.evaluate('document.activeElement.id')).toBe('filter')
      await page.keyboard.press('Escape')
      expect(await page.evaluate('document.activeElement.id')).not.toBe('filter')
    }))

  it('by a click or a finger, with options that are large enough for one', () =>
    pages.visit(
      '/admin',
      async page => {
        await page.locator('#filter').tap()
        await type(page, 'reason:')
        const option = page.getByRole('option', { name: /schema_violation/ })
        expect((await option.boundingBox())?.height ?? 0).toBeGreaterThanOrEqual(40)
        await option.tap()
        expect(await filterText(page)).toBe('reason:schema_violation ')
        expect(await page.evaluate('document.activeElement.id')).toBe('filter')
      },
      { viewport: { width: PHONE_WIDTH, height: 740 }, hasTouch: true, isMobile: true },
    ))

  it('asks for no key and no message to do so, and goes on without values when there are none', () =>
    pages.visit('/admin', async page => {
      await page.locator('#view tbody tr').first().waitFor()
      const asked: string[] = []
      page.on('request', request => asked.push(new URL(request.url()).pathname))
      await page.locator('#filter').fill('error:')
      await expect.poll(() => options(page)).toContain('format')
      expect(asked.filter(path => path.startsWith('/admin/dead-letters'))).toEqual(['/admin/dead-letters/field-values'])
      await page.route('**/field-values*', route => route.fulfill({ status: 503, json: {} }))
      await page.reload()
      await type(page, 'state:par')
      expect(await options(page)).toEqual(['parked'])
    }))
})

describe('a word without a field', () => {
  it('says what it was taken for, and actions take the same', () =>
    pages.visit('/admin?view=list', async page => {
      await rowsBecome(page, 50)
      const key = await page.locator('#view tbody [data-main]', { hasText: 'b563feb7' }).first().textContent()
      await filter(page, key ?? '')
      await page.getByText(`Taken as key:${key}`).waitFor()
      await filter(page, 'orders-0-120012')
      await page.getByText('Taken as id:orders-0-120012').waitFor()
      await rowsBecome(page, 1)
      const asked = page.waitForRequest('**/admin/dead-letters/replays*')
      await page.getByRole('button', { name: 'Redrive all 1 …' }).click()
      expect((await asked).postDataJSON().q).toBe('id:orders-0-120012')
      await page.keyboard.press('Escape')
      await page.getByRole('link', { name: 'Causes' }).click()
      await page.getByText('Taken as id:orders-0-120012').waitFor()
    }))
})

describe('views', () => {
  it('are saved under a name, shown by their address, and removed', () =>
    pages.visit('/admin?view=list&q=error%3Aformat&sort=source', async page => {
      await rowsBecome(page, 50)
      await page.getByRole('button', { name: 'Save this view …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByText('A view needs a name.').waitFor()
      await dialog.getByLabel('Name').fill('Open')
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByText('There is a view of this name already.').waitFor()
      await dialog.getByLabel('Name').fill('Emails <b>')
      await dialog.getByRole('button', { name: 'Save' }).click()
      const views = page.getByRole('list', { name: 'Views' })
      const saved = views.getByRole('link', { name: 'Emails <b>' })
      expect(await saved.getAttribute('aria-current')).toBe('true')

      await views.getByRole('link', { name: 'Last hour' }).click()
      expect(new URL(page.url()).searchParams.get('q')).toBe('after:1h')
      await page.reload()
      await saved.click()
      await rowsBecome(page, 50)
      expect(new URL(page.url()).search).toBe('?view=list&q=error%3Aformat&sort=source')
      expect(await saved.getAttribute('href')).toBe('/admin?view=list&q=error%3Aformat&sort=source')
      await page.getByRole('button', { name: 'Remove the view Emails <b>' }).click()
      expect(await saved.count()).toBe(0)
      expect(await page.evaluate('document.activeElement.textContent')).toBe('Save this view …')
    }))

  it('that somebody has put into the browser are read with care', () =>
    pages.visit('/admin', async page => {
      const put = [
        { name: 'x'.repeat(500), q: 'state:open', sort: 'nonsense', view: 'letter' },
        { name: 1, q: 'a' },
        null,
        'text',
      ]
      await page.evaluate(`localStorage.setItem('holdfast.views', ${JSON.stringify(JSON.stringify(put))})`)
      await page.reload()
      await page.getByRole('list', { name: 'Views' }).getByRole('link', { name: 'xxx' }).waitFor()
      expect(await page.getByRole('list', { name: 'Views' }).getByRole('link').count()).toBe(4)
      await page.evaluate(`localStorage.setItem('holdfast.views', '{')`)
      await page.reload()
      await page.getByRole('list', { name: 'Views' }).getByRole('link', { name: 'Failed again' }).waitFor()
    }))
})

describe('a condition on the value', () => {
  const ALPHA = '/admin?view=list&q=value%3A%2Fpayment%2Fbank%3Dalpha%20state%3Aopen'
  const bank = (name: string) => Buffer.from(JSON.stringify({ payment: { bank: name } }))

  async function banks(count: number): Promise<ConsolePages> {
    return await startConsole(browser, {
      fill(inbox) {
        for (let i = 0; i < count; i++) inbox.add({ key: `key-${i}`, value: bank(i % 100 === 0 ? 'alpha' : 'beta') })
      },
    })
  }

  it('is searched with progress, by letters and by causes, and actions take what was found', async () => {
    await using own = await banks(4_500)
    await own.visit(ALPHA, async page => {
      await page.getByText('4,500 values read from the topic, 45 found.').waitFor()
      await rowsBecome(page, 45)
      const asked = page.waitForRequest('**/admin/dead-letters/replays*')
      await page.getByRole('button', { name: 'Redrive all 45 …' }).click()
      expect((await asked).postDataJSON().q).toMatch(/^id:orders-0-4400,orders-0-4300,/)
      await page.keyboard.press('Escape')
      await page.getByRole('link', { name: 'Causes' }).click()
      await page.getByText('4,500 values read from the topic, 45 found.').waitFor()
      expect(await page.locator('#view tbody .count .big').allTextContents()).toEqual(['45'])
      expect(own.inbox.log.every(({ filter }) => !filter.includes('alpha'))).toBe(true)
    })
  })

  it('can be stopped, and go on where it stopped', async () => {
    await using own = await banks(6_500)
    await own.visit('/admin', async page => {
      let held = 0
      const release = Promise.withResolvers<void>()
      await page.route('**/admin/dead-letters?*cursor=*', async route => {
        if (held++ === 0) await release.promise
        await route.continue().catch(() => {})
      })
      await page.goto(`${own.url}${ALPHA}`)
      await page.getByText('2,000 values read from the topic, 20 found …').waitFor()
      await page.getByRole('button', { name: 'Stop' }).click()
      await page.getByText('2,000 values read from the topic, 20 found, and there are more.').waitFor()
      release.resolve()
      await rowsBecome(page, 20)
      expect(await page.getByRole('button', { name: 'Redrive all that match …' }).count()).toBe(1)
      await page.getByRole('button', { name: 'Search on' }).click()
      await page.getByText('6,500 values read from the topic, 65 found.').waitFor()
      await rowsBecome(page, 65)
    })
  })
})

describe('a list is saved as a file', () => {
  it.each([
    ['CSV', 'dead-letters.csv', 301],
    ['NDJSON', 'dead-letters.ndjson', 300],
  ])('as %s, all of it, with the filter and the order of the page', (name, file, lines) =>
    pages.visit('/admin?view=list&q=error%3Aformat&sort=source', async page => {
      await rowsBecome(page, 50)
      const saving = page.waitForEvent('download')
      await page.getByRole('button', { name, exact: true }).click()
      const saved = await saving
      expect(saved.suggestedFilename()).toBe(file)
      const text = await readFile(await saved.path(), 'utf8')
      expect(text.trimEnd().split(/\r?\n/)).toHaveLength(lines)
      expect(text.indexOf('orders-0-120012')).toBeLessThan(text.indexOf('orders-5-120995'))
      expect(text).not.toContain('malformed_json')
    }),
  )
})

describe('in light and dark, on a large screen and on a phone', () => {
  it('proposals, a saved view, a search that was stopped', async () => {
    await using own = await startConsole(browser, { fill: inbox => fillWith(inbox, 60) })
    await own.visit('/admin?view=list&q=error%3Aformat', async page => {
      await page.locator('#view tbody tr').first().waitFor()
      await page.getByRole('button', { name: 'Save this view …' }).click()
      await page.getByLabel('Name').fill('Addresses of mail')
      await looksWell(page, 'console-save-view', { phoneWidth: PHONE_WIDTH })
      await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
      await type(page, 'state:open reason:')
      await page.keyboard.press('ArrowDown')
      await page.getByRole('option', { name: /schema_violation/, selected: true }).waitFor()
      await page.mouse.move(0, 0)
      await looksWell(page, 'console-proposals', { phoneWidth: PHONE_WIDTH })
      await filter(page, 'value:/delivery/email state:open')
      await page.getByText('values read from the topic').waitFor()
      await looksWell(page, 'console-search', { phoneWidth: PHONE_WIDTH })
    })
  })
})
