import { composeJobs, JOB_CONNECTIONS } from '../../app/jobs.ts'
import { CommandFailed } from '../../cli/failure.ts'
import { onInterrupt } from '../../cli/interrupt.ts'
import { note, print } from '../../cli/output.ts'
import { startProgress } from '../../cli/progress.ts'
import { systemClock } from '../../clock.ts'
import { grouped } from '../../engine/grouped.ts'
import { startInspector } from '../../engine/kafka/inspector.ts'
import type { Operator } from '../../engine/operator.ts'
import { createPool } from '../../engine/postgres/pool.ts'
import { visible } from '../../engine/visible.ts'
import { startTracing } from '../../telemetry/tracing-start.ts'
import { VERSION } from '../../version.ts'
import type { Redrive } from '../redrive-ports.ts'
import type { JobFact } from '../redrive-work.ts'
import type { DeadLetters } from './dlq-parts.ts'
import { coloured, endLine, progressText } from './redrive-words.ts'
import { watchRedrive } from './watch-redrive.ts'

/**
 * Works on a redrive in this process, unless a service that runs jobs has it, and shows its progress, until there is nothing
 * left to wait for.
 * @throws CommandFailed when it did not do all of it
 */
export async function runRedrive(
  inbox: DeadLetters,
  id: string,
  options: { readonly by: Operator; readonly json: boolean },
): Promise<void> {
  const { kafka, postgres } = inbox.config
  const { topic, groupId } = inbox.stream
  const progress = startProgress({ label: 'redriven', silent: options.json, lineEveryMs: 2_000 })
  const { redrive, unsettled } = await work()
  progress.stop()

  if (options.json) print(JSON.stringify(redrive))
  else print(coloured(endLine(redrive, unsettled), redrive))
  if (redrive.state === 'paused')
    note(`to continue: holdfast dlq redrive --resume ${id}; to end it: holdfast dlq cancel ${id}`)
  if (unsettled > 0 && !options.json) note('no consumer runs: they are settled once the service does')
  fail(redrive)

  async function work() {
    using interrupt = onInterrupt()
    await using parts = new AsyncDisposableStack()
    const pool = createPool({ ...postgres, max: JOB_CONNECTIONS, name: 'jobs' })
    parts.defer(() => pool.end())
    const service = { name: 'holdfast-redrive', version: VERSION, statements: false }
    const traces = parts.use(await startTracing(process.env, service, (_level, text) => note(`traces: ${text}`)))
    parts.use(
      composeJobs({
        config: inbox.config,
        stream: inbox.stream,
        pool,
        records: inbox.records,
        observer: { observe: onFact },
        // Warnings of the client show in the waits that they cause.
        onKafkaWarning: () => {},
        notifyAs: `holdfast-redrive-${id}`,
        clock: systemClock,
        tracing: traces.tracing,
      }),
    )
    return await watchRedrive(id, {
      redrives: inbox.redrives,
      clock: systemClock,
      interrupted: interrupt.signal,
      operator: options.by,
      async consumers() {
        await using inspector = await startInspector({ connection: kafka, groupId })
        return (await inspector.group(topic)).members
      },
      onProgress(now) {
        const rate = now.rate === null ? '' : `at ${grouped(now.rate)}/s`
        const waits = now.waiting_for === null ? '' : visible(now.waiting_for.message)
        progress.update({
          done: now.published + now.skipped,
          total: now.total,
          text: [now.state === 'running' || now.state === 'done' ? '' : now.state, waits, rate, progressText(now)]
            .filter(part => part !== '')
            .join('  '),
        })
      },
      onNote: line => progress.log(line),
    })
  }

  function onFact(fact: JobFact): void {
    if (fact.kind === 'replay_taken') progress.log(`redrive ${fact.id}: this process works on it`)
    if (fact.kind === 'replay_waiting' && fact.attempt === 1) progress.log(`waiting: ${reasonOf(fact.error)}`)
    if (fact.kind === 'job_failed') progress.log(`trying again: ${reasonOf(fact.error)}`)
  }
}

/** Exit code 0: all were resolved; 3: some, or it is not over; 1: none. */
function fail({ id, state, verdict, resolved, total }: Redrive): void {
  if (verdict === 'all') return
  const exitCode = verdict === 'none' ? 1 : 3
  if (state === 'failed') throw new CommandFailed(`the redrive ${id} failed`, { exitCode })
  if (state !== 'done') throw new CommandFailed(`the redrive ${id} is ${state}`, { exitCode })
  const left = grouped(total - resolved)
  throw new CommandFailed(`${left} of ${grouped(total)} are not resolved: holdfast dlq ls replay:${id}`, { exitCode })
}

function reasonOf(error: unknown): string {
  return visible(error instanceof Error ? error.message : String(error))
}
