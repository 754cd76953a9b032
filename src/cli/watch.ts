import { setTimeout as sleep } from 'node:timers/promises'
import { dispositionOf } from '../engine/errors.ts'
import { option } from './command.ts'
import { onInterrupt } from './interrupt.ts'
import { note, print } from './output.ts'

export const watchOption = () =>
  option('--watch', 'again every two seconds, until Ctrl-C; with --json one line a round')

export interface WatchOptions {
  readonly watch?: boolean
  readonly json?: boolean
}

const EVERY_MS = 2_000
const CLEAR_SCREEN = '\u001b[H\u001b[2J'

/**
 * Runs a command once, or with `--watch` again and again until Ctrl-C, which is its usual end. What fails in the first round ends it; an
 * outage in a later one is reported, and the next round tries again.
 * @param round is to call `begin` when it is about to print: on a terminal that clears the screen, elsewhere it sets the rounds apart
 */
export async function inRounds(
  { watch, json }: WatchOptions,
  round: (begin: () => void) => Promise<void>,
  { everyMs = EVERY_MS, isTerminal = process.stdout.isTTY === true } = {},
): Promise<void> {
  if (!watch) return await round(() => {})
  using interrupt = onInterrupt()
  const { signal } = interrupt
  for (let rounds = 0; !signal.aborted; rounds += 1) {
    const startedMs = performance.now()
    try {
      await round(begin)
    } catch (error) {
      if (signal.aborted) return
      if (rounds === 0 || dispositionOf(error) !== 'retry') throw error
      note(`${error instanceof Error ? error.message : String(error)}; trying again`)
    }
    await sleep(Math.max(0, everyMs - (performance.now() - startedMs)), undefined, { signal }).catch(() => {})
  }

  function begin(): void {
    if (json || signal.aborted) return
    if (isTerminal) process.stdout.write(CLEAR_SCREEN)
    print(`${new Date().toISOString()}  every ${everyMs / 1000} s; Ctrl-C ends`)
  }
}
