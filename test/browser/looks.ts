import { readFileSync } from 'node:fs'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { screenshot } from './support.ts'

const AXE = readFileSync(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')

const DESKTOP = { width: 1100, height: 800 }
const LOOKS = [
  { name: 'light', colorScheme: 'light', phone: false, audited: true },
  { name: 'dark', colorScheme: 'dark', phone: false, audited: false },
  { name: 'phone', colorScheme: 'light', phone: true, audited: false },
  { name: 'phone-dark', colorScheme: 'dark', phone: true, audited: true },
] as const

/** axe looks at two of the four: between them they have both widths and both sets of colours. */
export async function looksWell(page: Page, name: string, { phoneWidth = 375 } = {}): Promise<void> {
  for (const { name: look, colorScheme, phone, audited } of LOOKS) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.setViewportSize(phone ? { width: phoneWidth, height: 740 } : DESKTOP)
    await screenshot(page, `${name}-${look}`)
    await fits(page)
    if (audited) await hasNoBarriers(page)
  }
}

export async function fits(page: Page): Promise<void> {
  expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0)
}

/** The script goes over by the debugger, which the content security policy does not hold. */
async function hasNoBarriers(page: Page): Promise<void> {
  await page.evaluate(AXE)
  const { violations } = (await page.evaluate(`axe.run()`)) as {
    violations: readonly { id: string; help: string; nodes: readonly { html: string }[] }[]
  }
  expect(violations.map(({ id, help, nodes }) => ({ id, help, at: nodes.map(({ html }) => html) }))).toEqual([])
}
