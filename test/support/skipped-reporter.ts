import { appendFileSync } from 'node:fs'
import type { Reporter, TestModule, Vitest } from 'vitest/node'

/**
 * Says at the end which tests this machine did not run. A run that was green without them must not look like one with them, so
 * scripts/test.sh repeats them beside its result: it names the file for them in HOLDFAST_NOT_RUN.
 */
export default class SkippedReporter implements Reporter {
  private vitest: Vitest | undefined

  onInit(vitest: Vitest): void {
    this.vitest = vitest
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    // Who asks for tests by name has left out the others on purpose.
    if (this.vitest?.config.testNamePattern !== undefined) return
    const skipped = modules.flatMap(module =>
      [...module.children.allTests('skipped')].map(test => `${module.relativeModuleId}: ${test.fullName}`),
    )
    for (const name of skipped) console.log(`NOT RUN HERE  ${name}`)
    const file = process.env.HOLDFAST_NOT_RUN
    if (file !== undefined) appendFileSync(file, skipped.map(name => `${name}\n`).join(''))
  }
}
