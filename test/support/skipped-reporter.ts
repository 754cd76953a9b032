import type { Reporter, TestModule } from 'vitest/node'

/**
 * Says at the end which tests this machine could not run: those whose name says `skipped, because`. A run that was green
 * without them must not look like one with them.
 */
export default class SkippedReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        if (test.name.includes(': skipped, because '))
          console.log(`NOT RUN HERE  ${module.relativeModuleId}: ${test.name}`)
      }
    }
  }
}
