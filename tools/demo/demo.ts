import type { DemoOptions } from './run.ts'

const DEFAULT_RATE = 200
const DEFAULT_INVALID = 0.02

interface Flags extends Omit<DemoOptions, 'invalid' | 'settings'> {
  readonly invalid?: number
  readonly traces?: boolean
  readonly useEnv?: boolean
}

/** The command; its flags are defined in commands.ts. */
export async function demo({ traces, useEnv, invalid = DEFAULT_INVALID, ...options }: Flags): Promise<void> {
  const rate = options.rate ?? (options.orders === undefined ? DEFAULT_RATE : undefined)
  const [{ ignoredLine, takeDemoSettings }, { envFile }, { note }] = await Promise.all([
    import('./settings.ts'),
    import('../../src/cli/env-file.ts'),
    import('../../src/cli/output.ts'),
  ])
  // Before anything reads the environment.
  const settings = await takeDemoSettings(process.env, envFile(), { useEnv, produce: options.produce, rate })
  const ignored = ignoredLine(settings)
  if (ignored !== undefined) note(ignored)
  // With these two flags no user watches, or the demo ends before the viewer is up.
  const wanted = traces ?? !(options.json === true || options.orders !== undefined)
  // First: tracing wants to be there before the rest is imported.
  const { openDemoTraces } = await import('./traces.ts')
  const opened = await openDemoTraces(wanted, rate)
  const { runDemo } = await import('./run.ts')
  await runDemo({ ...options, rate, invalid, settings }, opened)
}
