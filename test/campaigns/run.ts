/** `npm run campaign -- <name> [--long] [--seed <number>]`: fault and load campaigns. Without a name it lists them. */
import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Campaign } from './support/campaign.js'
import { runCampaigns } from './support/runner.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { long: { type: 'boolean', default: false }, seed: { type: 'string' } },
})
const { long, seed = String(Date.now() % 1_000_000) } = values

/** Each is a file of this folder that is named for it. */
const files = readdirSync(import.meta.dirname).filter((file) => /^c\d+[a-z]?\.ts$/.test(file))
const names = files
  .map((file) => file.replace('.ts', ''))
  .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
const campaigns = new Map<string, Campaign>()
for (const name of names) campaigns.set(name, await campaignNamed(name))

const unknown = positionals.filter((name) => name !== 'all' && !campaigns.has(name))
if (unknown.length > 0) {
  console.error(`There is no campaign ${unknown.join(', ')}. There are: ${names.join(', ')}, all.`)
  process.exit(1)
}
if (positionals.length === 0) {
  for (const [name, { title }] of campaigns) console.log(`${name.padEnd(5)} ${title}`)
  process.exit(0)
}
const chosen = new Map([...campaigns].filter(([name]) => isChosen(name)))
// What a campaign left behind must not keep the process from ending; the runner has counted it.
process.exit(await runCampaigns(chosen, { long, seed: Number(seed), print: console.log }))

function isChosen(name: string): boolean {
  return positionals.includes('all') || positionals.includes(name)
}

async function campaignNamed(name: string): Promise<Campaign> {
  const { campaign } = (await import(`./${name}.ts`)) as { campaign: Campaign }
  return campaign
}
