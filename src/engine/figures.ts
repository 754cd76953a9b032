/** What is counted in the store at intervals, for gauges. All replicas count the same rows. */
export interface Figures {
  readonly deadLetters: {
    /** By reason; one that is absent has none. Other programs have reasons of their own. */
    readonly open: ReadonlyMap<string, number>
    readonly parked: number
    /** Wall clock in ms at which the longest-waiting open one last failed; `undefined` when none is open. */
    readonly oldestFailedAtMs: number | undefined
    /** Causes of open and parked ones that ask for attention, by the state of the cause; one that is absent has none. */
    readonly attention: ReadonlyMap<string, number>
  }
  readonly redrive: {
    readonly inProgress: boolean
    /** Members of the current redrive that are not published yet. */
    readonly pending: number
  }
}
