/** HTML in which a text stays a text: what is put into the template is escaped, unless it is such HTML itself. */

export class Html {
  readonly #markup: string

  constructor(markup: string) {
    this.#markup = markup
  }

  toString(): string {
    return this.#markup
  }
}

type Content = string | Html | readonly Html[] | undefined

/** Put values between tags and into attributes with quotes, never into a `style`, a `script` or the name of anything. */
export function html(markup: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(markup.map((part, index) => part + inserted(values[index])).join(''))
}

function inserted(value: Content): string {
  if (value === undefined) return ''
  if (typeof value === 'string') return escaped(value)
  return value instanceof Html ? value.toString() : value.join('')
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '')
}
