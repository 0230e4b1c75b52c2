/** A word or two that come and go by themselves. */

import { find } from './element.js'

/** Milliseconds. */
const shown = 5000
let timer

export function toast(text) {
  const place = find('#toast')
  place.textContent = text
  clearTimeout(timer)
  timer = setTimeout(() => place.replaceChildren(), shown)
}
