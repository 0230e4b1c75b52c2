/** Pages as template literals: whatever is put into `html` is escaped, unless `html` made it. */

type Value = string | number | Html | undefined | false | readonly Value[]

/** Markup that needs no more escaping. Only {@link html} and {@link trusted} make it. */
export class Html {
  readonly markup: string

  constructor(markup: string) {
    this.markup = markup
  }

  toString(): string {
    return this.markup
  }
}

export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(parts.map((part, index) => part + render(values[index])).join(''))
}

/** Takes markup as it is. Never for anything that came from a request or an API. */
export function trusted(markup: string): Html {
  return new Html(markup)
}

function render(value: Value): string {
  if (value === undefined || value === false) return ''
  if (value instanceof Html) return value.markup
  if (typeof value === 'string' || typeof value === 'number') return escape(String(value))
  return value.map(render).join('')
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
