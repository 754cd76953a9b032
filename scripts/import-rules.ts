import { Visitor } from '@swc/core/Visitor.js'
import type { IConfiguration } from 'dependency-cruiser'

/** Which module of src/ may import what. From it come the rules that dependency-cruiser checks; type imports count like all others. */
export interface Layout {
  /** Folder of src/ -> what else of src/ it may import: folders (`engine`) or single files (`engine/definition.ts`). */
  readonly modules: Readonly<Record<string, readonly string[]>>
  /** Folder -> further folders of which it may import types. */
  readonly types?: Readonly<Record<string, readonly string[]>>
  /** Folders that import no package of npm. */
  readonly pure: readonly string[]
  /** The composition root, as patterns of paths below src/. Its files may import everything. */
  readonly composition: readonly string[]
  /** Files that may import the composition root, as patterns of paths below src/. They may import everything, too. */
  readonly entries: readonly string[]
  /** Files that each folder may import, as patterns of paths below src/. */
  readonly common: readonly string[]
  /** Folders that may import web/: what a terminal or a rendered page shares with the browser. */
  readonly browser: readonly string[]
  /**
   * Package -> the folders that may import it, at any depth: `postgres` is src/postgres/ and src/engine/postgres/ alike. A package
   * that is not listed may be imported by each folder that is not pure.
   */
  readonly libraries: Readonly<Record<string, readonly string[]>>
}

type Rule = NonNullable<IConfiguration['forbidden']>[number]

/** @returns a configuration of dependency-cruiser that finds each import which the layout does not allow */
export function importRules(layout: Layout): IConfiguration {
  return {
    forbidden: [
      ...folderRules(layout),
      ...typeRules(layout),
      ...rootRules(layout),
      ...libraryRules(layout),
      ...generalRules(layout),
    ],
    options: {
      parser: 'swc',
      tsPreCompilationDeps: true,
      doNotFollow: { path: ['node_modules', '^web/', '^scripts/'] },
      enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
    },
  }
}

function folderRules({ modules, types = {}, pure, common, composition, entries }: Layout): Rule[] {
  const free = [...entries, ...composition].map(pattern => `^src/${pattern}`)
  const shared = common.map(name => `^src/${name}$`)
  return Object.entries(modules).flatMap(([name, others]) => {
    // A folder within it that has rules of its own.
    const inner = Object.keys(modules).filter(other => other.startsWith(`${name}/`))
    const allowed = [name, ...others, ...(types[name] ?? [])]
    return [
      forbid(
        `${name}-imports`,
        `${name}/ may import ${allowed.join(', ')} and nothing else of src/: take it as an argument, by a port`,
        { path: `^src/${name}/`, pathNot: [...free, ...inner.map(pathOf)] },
        { path: '^src/', pathNot: [...allowed.map(pathOf), ...shared] },
      ),
      ...(pure.includes(name)
        ? [
            forbid(
              `${name}-is-pure`,
              `${name}/ imports no package`,
              { path: `^src/${name}/` },
              { pathNot: '^src/', dependencyTypesNot: ['core'] },
            ),
          ]
        : []),
    ]
  })
}

function typeRules({ types = {} }: Layout): Rule[] {
  return Object.entries(types).flatMap(([name, others]) =>
    others.map(other =>
      forbid(
        `${name}-types-of-${other}`,
        `${name}/ may import types of ${other}/, and no values`,
        { path: `^src/${name}/` },
        { path: `^src/${other}/`, dependencyTypesNot: ['type-only'] },
      ),
    ),
  )
}

function rootRules({ composition, entries }: Layout): Rule[] {
  const free = [...entries, ...composition].map(pattern => `^src/${pattern}`)
  return [
    forbid(
      'composition-root',
      'only the entry points import the composition root',
      { path: '^src/', pathNot: free },
      { path: composition.map(pattern => `^src/${pattern}`) },
    ),
  ]
}

function libraryRules({ libraries }: Layout): Rule[] {
  return Object.entries(libraries).map(([library, folders]) =>
    forbid(
      `library-${library}`,
      `${library} is imported in ${folders.join(', ')} only`,
      { path: '^src/', pathNot: `/(${folders.join('|')})/` },
      { path: `(^|node_modules/)${library}(/|$)` },
    ),
  )
}

function generalRules({ browser, composition, entries }: Layout): Rule[] {
  const inTheBrowser = `^src/(${browser.join('|')})/`
  return [
    forbid(
      'top-of-src',
      'a file directly in src/ that is no entry point imports no folder but core, engine and settings',
      { path: '^src/[^/]+$', pathNot: [...entries, ...composition].map(pattern => `^src/${pattern}`) },
      { path: '^src/[^/]+/', pathNot: '^src/(core|engine|settings)/' },
    ),
    forbid('web', 'web/ is what the browser loads', { path: '^src/', pathNot: inTheBrowser }, { path: '^web/' }),
    forbid(
      'outside-src',
      'src/ imports nothing outside of it',
      { path: '^src/' },
      { path: '^[^/]+/', pathNot: '^(src|web|node_modules|@[^/]+)/', dependencyTypes: ['local'] },
    ),
    forbid(
      'alias',
      'inside src/ imports are relative',
      { path: '^src/' },
      { dependencyTypes: ['aliased-subpath-import'] },
    ),
    forbid(
      'undeclared-package',
      'the package is no dependency of package.json, or one of development alone',
      { path: '^src/' },
      { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    ),
    forbid('circle', 'no circle of files', { path: '^src/' }, { circular: true }),
  ]
}

/** `engine` is a folder, `engine/definition.ts` a file. */
function pathOf(name: string): string {
  return name.endsWith('.ts') ? `^src/${name.replaceAll('.', '\\.')}$` : `^src/${name}/`
}

function forbid(name: string, comment: string, from: Rule['from'], to: object): Rule {
  return { name, comment, severity: 'error', from, to } as Rule
}

// The compiler's JavaScript API, which dependency-cruiser reads TypeScript with, is gone since TypeScript 7. Its other parser, swc,
// walks the tree with a visitor that does not know "using" declarations and throws at the first one.
const { visitStatement } = Visitor.prototype
Visitor.prototype.visitStatement = function (statement) {
  const { type, decls } = statement as { type: string; decls?: Parameters<Visitor['visitVariableDeclarators']>[0] }
  if (type !== 'UsingDeclaration' || !decls) return visitStatement.call(this, statement)
  this.visitVariableDeclarators(decls)
  return statement
}
