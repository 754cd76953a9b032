/** `make chaos`: random faults from a seed over several replicas under load. Exit code 1 names what did not hold. */
import { parseArgs } from 'node:util'
import { FAULT_NAMES, type FaultName, faultNames } from '../support/faults/faults.ts'
import { BROKER_COUNTS, SECURITIES } from '../support/faults/world.ts'
import { findPgBouncers } from '../support/pgbouncer-programs.ts'
import { type ChaosResult, runChaos } from './chaos.ts'
import { figuresOf, writeReport } from './report.ts'

const USAGE = `node test/chaos/run.ts [--seed N[,N…]] [--minutes M] [--replicas N] [--brokers N] [--rate R] [--only FAULT,…]
                     [--pooler session|transaction] [--security none|oauth] [--report FILE]

  --seed      the same seed gives the same faults; several run one after another   (default: from the clock)
  --minutes   of faults, for each seed                                              (default: 5)
  --replicas  processes of the service                                              (default: 3)
  --brokers   1, or 3 of which each record is on all                                (default: 1)
  --rate      records a second                                                      (default: 200)
  --only      some kinds of fault: ${FAULT_NAMES.slice(0, 3).join(',')},…
  --pooler    a PgBouncer in that mode between service and database: the newest that there is, or the one of
              --pgbouncer VERSION, as 1.18
  --security  how the service logs in to Kafka; oauth: with tokens that live 30 s   (default: none)
  --report    writes the figures between the marks of that file`

const say = (line: string) => void process.stdout.write(`${line}\n`)

function usage(problem: string): never {
  process.stderr.write(`${problem}\n\n${USAGE}\n`)
  process.exit(2)
}

function number(name: string, text: string, min: number): number {
  const value = Number(text)
  if (text === '' || !Number.isFinite(value) || value < min) usage(`--${name} ${text}: a number from ${min} on, please`)
  return value
}

function readArguments() {
  try {
    const text = { type: 'string' } as const
    return parseArgs({
      options: {
        seed: text,
        minutes: text,
        replicas: text,
        brokers: text,
        rate: text,
        only: text,
        pooler: text,
        pgbouncer: text,
        security: text,
        report: text,
        help: { type: 'boolean' },
      },
    }).values
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error))
  }
}

async function poolerOf(mode: string) {
  if (mode !== 'session' && mode !== 'transaction') usage(`--pooler ${mode}: session or transaction, please`)
  const { programs, missing } = await findPgBouncers()
  const program = programs.findLast(({ version }) => version.startsWith(given.pgbouncer ?? ''))
  if (program === undefined) {
    process.stderr.write(`there is no such PgBouncer here${missing.map(why => `; ${why}`).join('')}\n`)
    process.exit(1)
  }
  return { mode, program } as const
}

const given = readArguments()
if (given.help === true) {
  say(USAGE)
  process.exit(0)
}
const seeds = (given.seed || String(Date.now() % 1_000_000)).split(',').map(text => number('seed', text, 0))
const brokers =
  BROKER_COUNTS.find(count => String(count) === (given.brokers || '1')) ??
  usage(`--brokers ${given.brokers}: ${BROKER_COUNTS.join(' or ')}, please`)
const names = faultNames({ brokers, pooler: given.pooler !== undefined })
const only = given.only?.split(',').map(name => {
  return names.find(known => known === name) ?? usage(`no fault ${name} here; there are: ${names.join(', ')}`)
}) satisfies FaultName[] | undefined
const options = {
  minutes: number('minutes', given.minutes || '5', 0),
  replicas: Math.floor(number('replicas', given.replicas || '3', 1)),
  // At a lower rate, an idle partition could not be distinguished from a stalled one.
  rate: number('rate', given.rate || '200', 50),
  brokers,
  only,
  pooler: given.pooler === undefined ? undefined : await poolerOf(given.pooler),
  security:
    SECURITIES.find(known => known === (given.security || 'none')) ??
    usage(`--security: one of ${SECURITIES.join(', ')}`),
}

if (options.brokers > 1 && options.security !== 'none') usage('--security is for one broker')

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort(new Error(signal)))

const results: ChaosResult[] = []
for (const seed of seeds) {
  const result = await runChaos({ ...options, seed, say, signal: interrupted.signal }).catch((error: unknown) => {
    const why = interrupted.signal.aborted ? 'interrupted' : error instanceof Error ? error.stack : String(error)
    process.stderr.write(`seed ${seed}: the run broke off: ${why}\n`)
    process.exit(1)
  })
  results.push(result)
  say(`\n${figuresOf([result])}\n`)
}
if (results.length > 1) say(`all seeds together:\n\n${figuresOf(results)}\n`)
if (given.report !== undefined) writeReport(given.report, results)

const violated = results.filter(({ violations }) => violations.length > 0)
for (const { seed, violations } of violated)
  for (const { invariant, what } of violations)
    process.stderr.write(`seed ${seed}: ${invariant} does not hold: ${what}\n`)
process.exit(violated.length > 0 ? 1 : 0)
