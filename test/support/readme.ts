/** The parts of the documentation that are made from the code: the tables of options and of errors. */

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { OAuthError, type OAuthErrorCode } from '../../lib/index.js'

/** By the name of a section: the interface that its table is made of. */
const optionTables: Readonly<Record<string, readonly [file: string, name: string]>> = {
  oauthLogin: ['lib/middleware/oauth-login-options.ts', 'OAuthLoginOptions'],
  oauthBearer: ['lib/middleware/oauth-bearer.ts', 'OAuthBearerSettings'],
  introspection: ['lib/resource/introspector.ts', 'IntrospectionOptions'],
  dpop: ['lib/resource/dpop.ts', 'DPoPOptions'],
  mtls: ['lib/resource/client-certificate.ts', 'MutualTlsOptions'],
  protectedResource: ['lib/resource/resource-metadata.ts', 'ProtectedResourceOptions'],
  user: ['lib/middleware/user-endpoint.ts', 'UserEndpointOptions'],
  apis: ['lib/middleware/oauth-login-options.ts', 'UserApi'],
  oauthProxy: ['lib/middleware/oauth-proxy-options.ts', 'OAuthProxyOptions'],
  webSockets: ['lib/middleware/oauth-proxy-options.ts', 'ProxyWebSockets'],
  csrfProtection: ['lib/middleware/csrf-protection.ts', 'CsrfProtectionOptions'],
  clientCredentials: ['lib/tokens/client-credentials.ts', 'ClientCredentialsOptions'],
  oauthConnections: ['lib/middleware/oauth-connections-options.ts', 'OAuthConnectionsOptions'],
  providers: ['lib/connections/provider-options.ts', 'ProviderOptions'],
  environments: ['lib/connections/provider-options.ts', 'ConnectionEnvironment'],
  fields: ['lib/connections/connection-fields.ts', 'ConnectionField'],
  test: ['lib/connections/provider-options.ts', 'ConnectionTest'],
  parameters: ['lib/connections/provider-options.ts', 'RequestParameters'],
  check: ['lib/connections/sweep.ts', 'CheckOptions'],
}

/** A text with its generated parts made anew. */
export function upToDate(text: string): string {
  let made = text
  for (const [section, [file, name]] of Object.entries(optionTables))
    made = made.replace(marked(`options ${section}`), `$1\n\n${optionsTable(file, name)}\n\n$2`)
  return made.replace(marked('errors'), `$1\n\n${errorsTable()}\n\n$2`)
}

/** The TypeScript examples. */
export function examples(readme: string): string[] {
  return [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code ?? '')
}

function marked(name: string): RegExp {
  return new RegExp(`(<!-- ${name} -->).*?(<!-- /${name.split(' ')[0]} -->)`, 's')
}

function optionsTable(file: string, name: string): string {
  const rows = [...optionsOf(file, name)].map(([option, { type, isNeeded, meaning }]) => [
    `\`${option}\`${isNeeded ? ' (needed)' : ''}`,
    `\`${type.replaceAll('|', '\\|')}\``,
    meaning,
  ])
  return table(['option', 'type', 'meaning'], rows)
}

interface Option {
  readonly type: string
  readonly isNeeded: boolean
  readonly meaning: string
}

/** The properties of an interface, after those of the ones that it extends; what it says itself takes precedence. */
function optionsOf(file: string, name: string): Map<string, Option> {
  const source = sourceOf(file)
  const found = interfaceIn(source, name)
  if (!found) throw new Error(`${file} has no interface ${name}`)
  const extended = (found.heritageClauses ?? []).flatMap(({ types }) =>
    types.map(({ expression }) => expression.getText(source)),
  )
  const options = new Map(extended.flatMap((one) => [...optionsOf(fileOf(source, file, one), one)]))
  for (const member of found.members.filter(ts.isPropertySignature)) {
    options.set(member.name.getText(source), {
      type: (member.type?.getText(source) ?? '').replaceAll(/\s+/g, ' '),
      isNeeded: !member.questionToken,
      meaning: documentation(member),
    })
  }
  return options
}

function interfaceIn(source: ts.SourceFile, name: string): ts.InterfaceDeclaration | undefined {
  return source.statements.filter(ts.isInterfaceDeclaration).find((one) => one.name.text === name)
}

/** The file that an interface comes from. */
function fileOf(source: ts.SourceFile, file: string, name: string): string {
  if (interfaceIn(source, name)) return file
  for (const one of source.statements.filter(ts.isImportDeclaration)) {
    const names = one.importClause?.namedBindings
    if (!names || !ts.isNamedImports(names) || !ts.isStringLiteral(one.moduleSpecifier)) continue
    if (names.elements.some((element) => element.name.text === name))
      return join(dirname(file), one.moduleSpecifier.text.replace(/\.js$/, '.ts'))
  }
  throw new Error(`${file} imports no ${name}`)
}

function errorsTable(): string {
  const source = sourceOf('lib/errors.ts')
  const codes: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && ts.isArrayLiteralExpression(node.initializer))
      codes.push(node.name.getText(source))
    ts.forEachChild(node, visit)
  }
  visit(source)
  const rows = codes.map((code) => {
    const error = new OAuthError(code as OAuthErrorCode)
    return [`\`${code}\``, String(error.status), error.publicMessage]
  })
  return table(['code', 'status', 'what a user may be told'], rows)
}

function sourceOf(file: string): ts.SourceFile {
  return ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
}

function documentation(node: ts.Node): string {
  const [doc] = ts.getJSDocCommentsAndTags(node)
  const text = doc && ts.getTextOfJSDocComment(doc.comment)
  if (!text) throw new Error(`${node.getText()} is not documented`)
  return text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, head.map(() => '---'), ...rows]
  return all.map((row) => `| ${row.join(' | ')} |`).join('\n')
}
