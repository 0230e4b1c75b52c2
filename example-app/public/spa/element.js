/** Makes elements. Whatever comes from the API becomes text, never markup. */

const svg = 'http://www.w3.org/2000/svg'

/** `properties` are attributes; those that begin with "on" are listeners, and what is false or missing is left out. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value)
    else made.setAttribute(name, value === true ? '' : value)
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== false))
  return made
}

/** A drawing out of the sheet in the page. */
export function icon(name) {
  const drawing = document.createElementNS(svg, 'svg')
  drawing.setAttribute('class', 'icon')
  drawing.setAttribute('aria-hidden', 'true')
  const use = document.createElementNS(svg, 'use')
  use.setAttribute('href', `#${name}`)
  drawing.append(use)
  return drawing
}

export const find = (selector) => document.querySelector(selector)
