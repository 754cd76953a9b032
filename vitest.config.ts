import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// Each test file has a process of its own, as has each service and command that it starts: they find there what an earlier one compiled.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url))

// The native Kafka client cannot be loaded in worker threads, hence forks everywhere.
const pool = 'forks'
/** TEST_CPU=FILE: what each file takes is noted there. */
const metered = process.env.TEST_CPU === undefined ? {} : { setupFiles: ['test/support/cpu-of-file.ts'] }
/**
 * Most of the time of a file goes into waiting for servers, sessions and backoffs, not into computing: more files at a time than a small
 * machine has cores. Servers take their share as well, so not many more.
 */
const onRealServers = { pool, ...metered, maxWorkers: 4, globalSetup: 'test/support/global-setup.ts' } as const
/** As with all bounds of waiting, it only ends a broken test: by itself a poll gives up after a second. */
const patient = { expect: { poll: { timeout: 30_000 } } } as const

/**
 * Files that take longest, the slowest first: begun last, one of them would run on alone at the end. But the two that start three brokers each do
 * not begin together: they and the random faults would starve one another.
 */
const SLOW = [
  'a-broker-of-three-is-lost-under-load',
  'credentials-are-exchanged-while-it-runs',
  'random-faults-lose-nothing',
  'a-pooler-in-between-loses-nothing',
  'a-thousand-dead-letters-are-an-inbox',
  'a-cluster-is-worked-on-under-load',
  'an-upgrade-goes-out-and-back-under-load',
  'a-standby-is-promoted-under-load',
  'processes-that-come-and-go-hold-nobody-up',
  'a-redrive-survives-its-worker',
  'a-stop-at-a-bad-moment-loses-nothing',
  'an-operator-holds-and-moves-a-running-stream',
  'killed-between-transaction-and-commit',
  'console-outage',
  'console-inbox',
  'postgres-away-blames-no-record',
  'contract/jobs',
  'engine/run/operator-requests',
]

/**
 * What takes some twenty seconds or more, and breaks rarely: random faults, storms, whole clusters, many processes, logins, a project from the
 * packed package, the servers of the demo. Only `make test-all`, which the build server runs, has them, and who names one.
 */
const LONG = [
  'test/contract/consumer-finds-its-broker-again.test.ts',
  'test/contract/consumer-leaves-its-commit.test.ts',
  'test/contract/embedded/own-servers.test.ts',
  'test/contract/embedded/zipkin.test.ts',
  'test/contract/kafka-causes.test.ts',
  'test/contract/package-installed.test.ts',
  'test/contract/pooler.test.ts',
  'test/scenarios/a-backlog-of-large-records-fits-a-small-heap.test.ts',
  'test/scenarios/a-batch-that-waits-holds-its-own-partition-only.test.ts',
  'test/scenarios/a-blocked-process-loses-its-partitions-and-comes-back.test.ts',
  'test/scenarios/a-broker-of-three-is-lost-under-load.test.ts',
  'test/scenarios/a-broker-that-says-nothing-is-waited-for.test.ts',
  'test/scenarios/a-cluster-is-worked-on-under-load.test.ts',
  'test/scenarios/a-damaged-log-stops-its-partition-alone.test.ts',
  'test/scenarios/a-database-restored-from-an-older-copy-is-caught-up.test.ts',
  'test/scenarios/a-new-team-brings-its-own-stream.test.ts',
  'test/scenarios/a-partition-without-a-leader-waits-alone.test.ts',
  'test/scenarios/a-pod-lives-as-kubernetes-runs-it.test.ts',
  'test/scenarios/a-pooler-in-between-loses-nothing.test.ts',
  'test/scenarios/a-record-that-kills-the-process-is-set-aside.test.ts',
  'test/scenarios/a-redrive-into-the-store-is-noticed-by-no-one-else.test.ts',
  'test/scenarios/a-redrive-survives-its-worker.test.ts',
  'test/scenarios/a-redrive-that-fails-again-pauses-itself.test.ts',
  'test/scenarios/a-redrive-waits-for-postgres.test.ts',
  'test/scenarios/a-secured-cluster-is-worked-with.test.ts',
  'test/scenarios/a-standby-is-promoted-under-load.test.ts',
  'test/scenarios/a-stop-at-a-bad-moment-loses-nothing.test.ts',
  'test/scenarios/a-storm-of-dead-letters-stops-its-partition.test.ts',
  'test/scenarios/a-take-over-in-an-outage-stays-in-the-group.test.ts',
  'test/scenarios/a-thousand-dead-letters-are-an-inbox.test.ts',
  'test/scenarios/a-topic-that-is-made-anew-brings-nothing-stale.test.ts',
  'test/scenarios/a-trickle-leaves-few-rows-in-the-ledger.test.ts',
  'test/scenarios/an-operator-holds-and-moves-a-running-stream.test.ts',
  'test/scenarios/an-operator-repairs-dead-letters-in-the-console.test.ts',
  'test/scenarios/an-outage-is-in-the-time-line-afterwards.test.ts',
  'test/scenarios/an-upgrade-goes-out-and-back-under-load.test.ts',
  'test/scenarios/credentials-are-exchanged-while-it-runs.test.ts',
  'test/scenarios/dashboards-show-a-run-with-faults.test.ts',
  'test/scenarios/dead-letters-and-their-index-stay-together.test.ts',
  'test/scenarios/dead-letters-are-worked-off.test.ts',
  'test/scenarios/operators-are-told-and-the-stream-waits-for-nobody.test.ts',
  'test/scenarios/operators-do-what-their-page-says.test.ts',
  'test/scenarios/postgres-over-tls-is-checked.test.ts',
  'test/scenarios/postgres-that-refuses-slows-or-says-nothing-is-waited-for.test.ts',
  'test/scenarios/processes-that-come-and-go-hold-nobody-up.test.ts',
  'test/scenarios/random-faults-lose-nothing.test.ts',
  'test/scenarios/records-compressed-in-any-way-are-read.test.ts',
  'test/scenarios/records-of-every-kind-of-topic-are-accounted-for.test.ts',
  'test/scenarios/retention-and-recreated-topics-are-noticed.test.ts',
  'test/scenarios/rights-that-are-missing-are-named-and-cost-nothing.test.ts',
  'test/scenarios/tables-stand-where-their-stream-says.test.ts',
  'test/scenarios/the-benchmark-measures-any-program.test.ts',
  'test/scenarios/the-first-stream-is-made-as-its-page-says.test.ts',
  'test/unit/engine/run/operator-requests.test.ts',
  'test/unit/http/connections.test.ts',
]

class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const rank = ({ moduleId }: TestSpecification) => {
      const at = SLOW.findIndex(name => moduleId.includes(name))
      return at === -1 ? SLOW.length : at
    }
    const projects = [...new Set(sorted.map(({ project }) => project))]
    // The long ones run beside the scenarios, and before them for the same reason.
    projects.sort((a, b) => Number(b.name === 'long') - Number(a.name === 'long'))
    return projects.flatMap(project =>
      sorted.filter(file => file.project === project).sort((a, b) => rank(a) - rank(b)),
    )
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: SlowFirst },
    reporters: ['default', './test/support/skipped-reporter.ts'],
    // Of servers that are to close in order, on a machine that is busy with others.
    teardownTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      // Started as processes of their own, which the coverage of this one does not see.
      exclude: ['src/main.ts', 'src/cli/main.ts'],
      reporter: ['text-summary', 'html'],
    },
    // Tests take seconds, and on a machine that is busy with others ten times as long: the bounds only end a broken one.
    // Groups run one after another, so the quick ones report first and none competes with the servers.
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          exclude: LONG,
          pool,
          ...metered,
          // By default a core is left free, which of two is half of them.
          maxWorkers: 2,
          // A process for each file would take more time than the tests of most. So nothing that one changes may outlive it.
          isolate: false,
          restoreMocks: true,
          unstubEnvs: true,
          // Tests read texts without colours, also where the environment forces them.
          env: { FORCE_COLOR: '0' },
          ...patient,
          sequence: { groupOrder: 0 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          exclude: LONG,
          ...onRealServers,
          ...patient,
          sequence: { groupOrder: 1 },
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'scenarios',
          include: ['test/scenarios/**/*.test.ts'],
          exclude: LONG,
          ...onRealServers,
          ...patient,
          sequence: { groupOrder: 2 },
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'long',
          include: LONG,
          ...onRealServers,
          ...patient,
          sequence: { groupOrder: 2 },
          testTimeout: 900_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          pool,
          ...metered,
          maxWorkers: 2,
          ...patient,
          sequence: { groupOrder: 3 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
