/** Attributes of an HTML tag. */

const entities: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&quot;': '"',
  '&#39;': "'",
  '&#x27;': "'",
  '&lt;': '<',
  '&gt;': '>',
}

export function attributesOf(tag: string): Readonly<Partial<Record<string, string>>> {
  const found = tag.matchAll(/([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/g)
  return Object.fromEntries(
    [...found].map(([, name = '', double, single, bare]) => [
      name.toLowerCase(),
      unescaped(double ?? single ?? bare ?? ''),
    ]),
  )
}

function unescaped(text: string): string {
  return text.replaceAll(
    /&(?:amp|quot|#39|#x27|lt|gt);/gi,
    (entity) => entities[entity.toLowerCase()] ?? entity,
  )
}
