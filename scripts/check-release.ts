/**
 * What a release needs to be consistent: node scripts/check-release.ts v0.2.0 OWNER/REPOSITORY. Exit code 1 names all that is not.
 * With --notes v0.2.0 it prints what the changelog says of that version.
 */
import { readFileSync } from 'node:fs'

const ROOT = new URL('../', import.meta.url)

export interface Release {
  /** `v0.2.0` */
  readonly tag: string
  /** `owner/name`, as GitHub has it. */
  readonly repository: string
  readonly manifest: { readonly version: string; readonly repository?: { readonly url?: string } | string }
  readonly changelog: string
}

/** @returns what is wrong, a sentence each */
export function releaseProblems({ tag, repository, manifest, changelog }: Release): string[] {
  const problems: string[] = []
  if (tag !== `v${manifest.version}`) problems.push(`the tag is ${tag}, and package.json has ${manifest.version}`)
  if (notesOf(tag, changelog) === '')
    problems.push(`CHANGELOG.md has no section "## [${tag.slice(1)}] - DATE" with text`)
  const { repository: named } = manifest
  const url = typeof named === 'string' ? named : (named?.url ?? '')
  // npm refuses a provenance that names another repository than the package.
  if (!url.replace(/\.git$/, '').endsWith(`/${repository}`)) {
    problems.push(`"repository" of package.json is ${JSON.stringify(url)}, and should name ${repository}`)
  }
  return problems
}

/** @returns the section of a version, without its heading and the links of the file; empty where there is none */
export function notesOf(tag: string, changelog: string): string {
  const [, ...sections] = changelog.split(/^## (?=\[)/m)
  const section = sections.find(text =>
    new RegExp(`^\\[${tag.slice(1).replaceAll('.', '\\.')}\\] - \\d{4}-\\d\\d-\\d\\d\n`).test(text),
  )
  return (section ?? '')
    .replace(/^.*\n/, '')
    .replace(/^\[[^\]]+\]: .*$/gm, '')
    .trim()
}

function main(args: readonly string[]): number {
  const textOf = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')
  const changelog = textOf('CHANGELOG.md')
  const [first = '', second = ''] = args
  if (first === '--notes') {
    console.log(notesOf(second, changelog))
    return 0
  }
  const manifest = JSON.parse(textOf('package.json')) as Release['manifest']
  const problems = releaseProblems({ tag: first, repository: second, manifest, changelog })
  for (const problem of problems) console.error(`release: ${problem}`)
  return problems.length === 0 ? 0 : 1
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2))
