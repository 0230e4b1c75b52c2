// Sends ten requests at once and shows what each of them was answered.
const tiles = [...document.querySelectorAll('[data-request]')]
const sum = document.querySelector('[data-sum]')

const answers = await Promise.all(tiles.map(ask))
const good = answers.filter((answer) => answer !== undefined)
const instances = new Set(good.map(({ instance }) => instance)).size
const since = Number(sum.dataset.since)
const fresh = good.map(({ issue }) => issue).filter((issue) => issue !== undefined && issue.at >= since)
const refreshes = new Map(fresh.map((issue) => [issue.accessToken, issue]))
const [last] = refreshes.values()
sum.textContent =
  `${good.length} of 10 requests answered by ${count(instances, 'instance')}, with ${count(refreshes.size, 'refresh')}. ` +
  (last
    ? `${last.instance ?? 'The app'} asked the server once, which took ${last.took} ms, and all got the same token.`
    : 'The token was good already. Press the button to have it expire first.')

async function ask(tile) {
  const startedAt = performance.now()
  const answer = await fetch('/session/token').catch(() => undefined)
  const took = Math.round(performance.now() - startedAt)
  const text = tile.querySelector('span')
  if (!answer?.ok) {
    text.textContent = answer ? `answered ${answer.status}` : 'no answer'
    return undefined
  }
  const { issue, instance } = await answer.json()
  const token = document.createElement('code')
  token.textContent = issue?.accessToken ?? 'a token'
  text.replaceChildren(token, document.createElement('br'), `${instance ? `${instance}, ` : ''}${took} ms`)
  return { issue, instance }
}

function count(number, noun) {
  if (number === 1) return `one ${noun}`
  return `${number} ${noun}${noun.endsWith('sh') ? 'es' : 's'}`
}
