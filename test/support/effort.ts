/**
 * How often something is tried that each time is another: a few times while people wait (`make test`), and often where nobody does
 * (`make test-all`, which the build server runs, sets TEST_EFFORT=all).
 */
export function rounds(few: number, all: number): number {
  return process.env.TEST_EFFORT === 'all' ? all : few
}
