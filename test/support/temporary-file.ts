import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A file with an order in it. Ends with the test. */
export async function aFile(text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-edit-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const path = join(directory, 'order.json')
  await writeFile(path, text)
  return path
}
