import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ConsolePages, startConsole } from './console-pages.ts'
import { looksWell } from './looks.ts'
import { launchBrowser } from './support.ts'

let browser: Browser
let pages: ConsolePages
beforeAll(async () => {
  browser = await launchBrowser()
  pages = await startConsole(browser)
  // Those of the stand-in, which an operator can pause: 0, 1, and 2, which the storm guard has stopped.
  delete pages.inbox.glance.partitions
})
afterAll(async () => {
  await pages?.[Symbol.asyncDispose]()
  await browser?.close()
})

describe('an operator', () => {
  it('pauses a partition with a reason, sees by whom and why, and resumes it', () =>
    pages.visit('/admin', async page => {
      await page.locator('details.partitions summary').click()
      await page.getByRole('button', { name: 'Pause partition 1 …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('Batches in flight are settled, and nothing more is read').waitFor()
      await dialog.getByText('bin/holdfast pause --partition 1 --because …').waitFor()
      await dialog.getByRole('button', { name: 'Pause', exact: true }).click()
      await dialog.getByText('Say why: the audit log keeps it.').waitFor()
      await dialog.getByLabel('Why').fill('<b>producer</b> 1.4 is rolled back.')
      await looksWell(page, 'console-pause-dialog')
      await dialog.getByRole('button', { name: 'Pause', exact: true }).click()
      await page.getByText('Partition 1 is being paused.').waitFor()

      // Who, why and since when stand above, as text, and a button leads on
      await page.getByText(/Partition 1 is paused by ada for .*: <b>producer<\/b> 1\.4 is rolled back\.$/).waitFor()
      const notice = page.locator('.decide .notice', { hasText: 'ada paused partition 1' })
      await notice.waitFor()
      const row = page.locator('.partitions tbody tr').nth(1)
      await expect.poll(() => row.textContent()).toContain('paused by ada: <b>producer</b> 1.4 is rolled back.')
      expect(await page.getByRole('button', { name: 'Pause partition 1 …' }).count()).toBe(0)
      await looksWell(page, 'console-paused')
      await notice.getByRole('button', { name: 'Resume partition 1 …' }).click()
      await dialog.getByText('bin/holdfast resume --partition 1 --lift operator').waitFor()
      await dialog.getByLabel('Why').fill('it is back')
      await dialog.getByRole('button', { name: 'Resume', exact: true }).click()
      await page.getByText('Partition 1 resumed.').waitFor()
      await expect.poll(() => page.locator('.decide .notice', { hasText: 'ada paused' }).count()).toBe(0)
      expect(pages.inbox.log.slice(-2)).toMatchObject([
        { who: 'ada', what: 'pause', because: '<b>producer</b> 1.4 is rolled back.' },
        { who: 'ada', what: 'resume', because: 'it is back' },
      ])
    }))

  it('pauses the whole stream, which leaves the storm guard’s stop as it is when that is lifted', () =>
    pages.visit('/admin', async page => {
      await page.locator('details.partitions summary').click()
      await page.getByRole('button', { name: 'Pause the stream …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('also those that come later').waitFor()
      await dialog.getByLabel('Why').fill('maintenance')
      await dialog.getByRole('button', { name: 'Pause', exact: true }).click()
      await page.getByText('The stream is being paused.').waitFor()
      await page.getByText(/The stream is paused by ada for/).waitFor()
      expect(await page.getByRole('button', { name: /^Pause / }).count()).toBe(0)
      await page.getByRole('button', { name: 'Resume the stream …' }).click()
      await dialog.getByLabel('Why').fill('done')
      await dialog.getByRole('button', { name: 'Resume', exact: true }).click()
      await page.getByText('The stream resumed.').waitFor()
      await page.getByText('Partition 2 stands still and waits for you to decide.').waitFor()
      await page.getByRole('button', { name: 'Pause the stream …' }).waitFor()
    }))

  it('asks the audit log by who, what and when, and the address keeps the question', () =>
    pages.visit('/admin?view=audit', async page => {
      await pages.inbox.automatic.set(true, { who: 'ben', because: 'a drill' })
      await pages.inbox.automatic.set(false, { who: 'cleo', because: 'over' })
      await pages.inbox.automatic.set(false, { who: 'dora', because: 'still over' })
      await page.reload()
      const form = page.getByRole('search', { name: 'Entries of the audit log' })
      const rows = page.locator('#view tbody tr')
      await expect.poll(() => rows.count()).toBeGreaterThan(2)
      await form.getByLabel('Who').fill('ben, cleo')
      await form.getByLabel('What').fill('automatic_redrive')
      await form.getByRole('button', { name: 'Filter' }).click()
      await expect.poll(() => rows.count()).toBe(2)
      expect(new URL(page.url()).search).toContain('view=audit&who=ben%2C+cleo&what=automatic_redrive')
      await page.getByText("bin/holdfast audit --who 'ben, cleo' --what automatic_redrive").waitFor()
      await looksWell(page, 'console-audit-filter')

      // The address alone gives the same, and the way back the one before
      await page.reload()
      await expect.poll(() => rows.count()).toBe(2)
      expect(await form.getByLabel('Who').inputValue()).toBe('ben, cleo')
      await form.getByLabel('Who').fill('nobody')
      await page.keyboard.press('Enter')
      await page.getByText('Nothing matches').waitFor()
      await page.goBack()
      await expect.poll(() => rows.count()).toBe(2)

      // What cannot be read is said, and what stands there stays
      await form.getByLabel('Since').fill('long ago')
      await form.getByRole('button', { name: 'Filter' }).click()
      await page.locator('#view').getByText('since must be a time as in').waitFor()
      await page.getByRole('link', { name: 'Show all' }).click()
      await expect.poll(() => rows.count()).toBeGreaterThan(2)
      expect(new URL(page.url()).search).toBe('?view=audit')
    }))
})
