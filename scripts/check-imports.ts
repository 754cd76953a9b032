/**
 * Checks the imports of src/ against the rules of a layout.
 * Usage: node scripts/check-imports.ts [LAYOUT], by default layout.ts beside this file.
 */
import { argv, cwd } from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { cruise, type ICruiseResult } from 'dependency-cruiser'
import { importRules, type Layout } from './import-rules.ts'

/**
 * @param root the folder that holds src/
 * @returns a line for each import that breaks a rule, and how many files were read
 */
export async function checkImports(layout: Layout, root: string): Promise<{ broken: string[]; files: number }> {
  const { forbidden = [], options = {} } = importRules(layout)
  const { output } = await cruise(['src'], {
    ...options,
    baseDir: root,
    validate: true,
    ruleSet: { forbidden },
  })
  const { summary, modules } = output as ICruiseResult
  const broken = summary.violations.map(({ from, to, cycle, rule }) => {
    const path = cycle ? cycle.map(({ name }) => name).join(' -> ') : to
    return `${from} -> ${path}: ${forbidden.find(({ name }) => name === rule.name)?.comment ?? rule.name} (${rule.name})`
  })
  return { broken: broken.sort(), files: modules.filter(({ source }) => source.startsWith('src/')).length }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const file = argv[2] ? pathToFileURL(argv[2]) : new URL('layout.ts', import.meta.url)
  const { layout } = (await import(file.href)) as { layout: Layout }
  const { broken, files } = await checkImports(layout, cwd())
  for (const line of broken) console.error(line)
  console.error(
    broken.length === 0 ? `imports: ${files} files keep the rules` : `imports: ${broken.length} break a rule`,
  )
  if (broken.length > 0) process.exitCode = 1
}
