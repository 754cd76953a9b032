import { visible } from '../engine/visible.ts'
import { examine } from './doctor-checks.ts'
import { CommandFailed } from './failure.ts'
import { paintData, print } from './output.ts'
import { plural } from './words.ts'

/** Wide enough for `group NAME` and `topic NAME.dlq` of usual names, so that what was found stands in one column. */
const NAME_WIDTH = 24

export async function doctor({ json, stream }: { readonly json?: boolean; readonly stream?: string }): Promise<void> {
  let failed = 0
  for await (const { name, ok, detail, fix } of examine(process.env, stream)) {
    if (!ok) failed += 1
    if (json) {
      print(JSON.stringify({ name, ok, detail, fix: fix ?? null }))
      continue
    }
    print(`${ok ? paintData('green', '✓') : paintData('red', '✗')} ${name.padEnd(NAME_WIDTH)} ${visible(detail)}`)
    if (fix !== undefined) print(`${' '.repeat(NAME_WIDTH + 3)}${fix}`)
  }
  if (failed > 0) throw new CommandFailed(`${plural(failed, 'check')} failed`)
}
