/**
 * CPU time of this process from now on: for a test that something is done soon, which a machine that is busy with others must not fail.
 * @returns how much it has taken so far, in ms
 */
export function measureCpuMs(): () => number {
  const began = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(began)
    return (user + system) / 1_000
  }
}
