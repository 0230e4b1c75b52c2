/** The parts of the README that are made from the code: the tables of options and of errors. */

import { readFileSync } from 'node:fs'
import ts from 'typescript'
import { OAuthError, type OAuthErrorCode } from '../../lib/index.js'

/** The README with its generated parts made anew. */
export function upToDate(readme: string): string {
  return readme
    .replace(
      section('options oauthLogin'),
      `$1\n\n${optionsTable('lib/middleware/oauth-login-options.ts', 'OAuthLoginOptions')}\n\n$2`,
    )
    .replace(
      section('options oauthBearer'),
      `$1\n\n${optionsTable('lib/middleware/oauth-bearer.ts', 'OAuthBearerOptions')}\n\n$2`,
    )
    .replace(section('errors'), `$1\n\n${errorsTable()}\n\n$2`)
}

/** The TypeScript examples. */
export function examples(readme: string): string[] {
  return [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code ?? '')
}

function section(name: string): RegExp {
  return new RegExp(`(<!-- ${name} -->).*?(<!-- /${name.split(' ')[0]} -->)`, 's')
}

function optionsTable(file: string, name: string): string {
  const source = sourceOf(file)
  const found = source.statements.find((one) => ts.isInterfaceDeclaration(one) && one.name.text === name)
  if (!found || !ts.isInterfaceDeclaration(found)) throw new Error(`${file} has no interface ${name}`)
  const rows = found.members
    .filter(ts.isPropertySignature)
    .map((member) => [
      `\`${member.name.getText(source)}\`${member.questionToken ? '' : ' (needed)'}`,
      `\`${(member.type?.getText(source) ?? '').replaceAll(/\s+/g, ' ').replaceAll('|', '\\|')}\``,
      documentation(member),
    ])
  return table(['option', 'type', 'meaning'], rows)
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
