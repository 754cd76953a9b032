/** Ctrl-C, as a signal that the current work should end. */
export interface Interrupt extends Disposable {
  readonly signal: AbortSignal
}

/**
 * The first SIGINT or SIGTERM aborts the signal; a second one ends the process at once, because our handlers are removed
 * by then. (`process.exit()` could hang on a native call that is still under way.)
 */
export function onInterrupt(): Interrupt {
  const controller = new AbortController()
  const release = () => {
    process.off('SIGINT', abort)
    process.off('SIGTERM', abort)
  }
  const abort = () => {
    release()
    controller.abort()
  }
  process.on('SIGINT', abort)
  process.on('SIGTERM', abort)
  return { signal: controller.signal, [Symbol.dispose]: release }
}
