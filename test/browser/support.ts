import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** Git-ignored: for people who want to see how the pages look. */
const SCREENSHOTS = join(ROOT, 'test/browser/screenshots')

/** No sandbox, because CI runs as root; and nothing that looks for the network by itself. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
]

/**
 * A real Chromium with nothing installed by hand: the browser of the package, its libraries and fonts. `CHROMIUM_PATH`
 * names another; where the package has no build (anything but Linux on x64), it is the Chrome of the machine.
 */
export async function launchBrowser(): Promise<Browser> {
  const given = process.env.CHROMIUM_PATH
  if (given !== undefined) return await chromium.launch({ executablePath: given, args: ARGS })
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return await chromium.launch({ channel: 'chrome', args: ARGS })
  }
  const folder = await unpackedChromium()
  return await chromium.launch({
    executablePath: join(folder, 'chromium'),
    args: ARGS,
    env: {
      ...process.env,
      LD_LIBRARY_PATH: join(folder, 'al2023/lib'),
      FONTCONFIG_FILE: join(folder, 'fonts.conf'),
    },
  })
}

/**
 * Unpacks the browser once, into node_modules. By default the package unpacks into the system's temp folder, where a
 * second process takes a half-written file for a finished one: hence a folder of our own, moved into place when it is whole.
 */
async function unpackedChromium(): Promise<string> {
  const packageFolder = join(ROOT, 'node_modules/@sparticuz/chromium')
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'))
  const folder = join(ROOT, `node_modules/.cache/chromium-${version}`)
  if (existsSync(folder)) return folder
  await mkdir(dirname(folder), { recursive: true })
  const draft = await mkdtemp(`${folder}-`)
  // A process of its own, since the package reads its environment when it is imported: TMPDIR says where to, and only on
  // the named runtime does it unpack the libraries (nss and others) that a plain machine may lack.
  const unpack = `await (await import('@sparticuz/chromium')).default.executablePath()`
  await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', unpack], {
    cwd: ROOT,
    env: { ...process.env, TMPDIR: draft, AWS_EXECUTION_ENV: 'nodejs24.x' },
  })
  await writeFile(
    join(draft, 'fonts.conf'),
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>${join(folder, 'fonts')}</dir>
  <cachedir>${join(folder, 'fonts-cache')}</cachedir>
</fontconfig>
`,
  )
  try {
    await rename(draft, folder)
  } catch {
    // Another process was first.
    await rm(draft, { recursive: true })
  }
  return folder
}

/** A page, and what went wrong on it: errors of the console (broken CSP rules among them) and of scripts. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; wrong: string[]; close: () => Promise<void> }> {
  const context = await browser.newContext(options)
  // Pages answer in ms, and on a machine that is busy with others in seconds; the bound only ends a broken test.
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  const wrong: string[] = []
  page.on('pageerror', error => wrong.push(`script: ${error.message}`))
  page.on('console', entry => {
    // Chromium reports an answer of 4xx or 5xx as a console error, and such answers are what some tests are about.
    if (entry.type() === 'error' && !entry.text().startsWith('Failed to load resource')) wrong.push(entry.text())
  })
  return { page, wrong, close: () => context.close() }
}

export async function screenshot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true })
}
