/** "Projects EU": a project service with workspaces in two regions. */

import type { ApiAnswer, Service, ServiceAccount } from './service.js'

interface Workspace extends ServiceAccount {
  readonly region: 'eu' | 'us'
  readonly projects: readonly (readonly [name: string, state: string, due: string])[]
}

const workspaces: readonly Workspace[] = [
  {
    id: 'ws_1042',
    person: 'Nora Nyström',
    name: 'Nordlicht Studio',
    place: 'Europe',
    region: 'eu',
    projects: [
      ['Ferry terminal signs', 'in progress', '2026-12-04'],
      ['Winter timetable', 'in review', '2026-12-11'],
      ['Island map', 'waiting', '2027-01-22'],
    ],
  },
  {
    id: 'ws_2077',
    person: 'Paolo Conti',
    name: 'Conti & Figli',
    place: 'Europe',
    region: 'eu',
    projects: [
      ['Olive press, new hall', 'in progress', '2027-02-26'],
      ['Shop front', 'done', '2026-10-30'],
    ],
  },
  {
    id: 'ws_3180',
    person: 'June Walker',
    name: 'Walker Freight',
    place: 'America',
    region: 'us',
    projects: [
      ['Yard cameras', 'in progress', '2026-12-18'],
      ['Night shift plan', 'in review', '2026-11-27'],
    ],
  },
]

export const projectsEu: Service = {
  key: 'projects-eu',
  name: 'Projects EU',
  slogan: 'Plans that people keep to',
  accountWord: 'workspace',
  accounts: workspaces,
  scopes: { 'read:projects': 'See the projects of your workspace' },
  rotates: false,
  api: [
    {
      path: '/:region/me',
      answer: inRegion(({ id, name, region }) => ({ account_id: id, name, region })),
    },
    {
      path: '/:region/v1/projects',
      scope: 'read:projects',
      answer: inRegion(({ projects }) => ({
        projects: projects.map(([name, state, due]) => ({ name, state, due })),
      })),
    },
  ],
}

/** A workspace is in one region, and the other knows nothing of it. */
function inRegion(tell: (workspace: Workspace) => unknown) {
  return ({ id }: ServiceAccount, { region }: Readonly<Record<string, string>>): ApiAnswer => {
    const workspace = workspaces.find((one) => one.id === id && one.region === region)
    if (workspace) return { body: tell(workspace) }
    return {
      status: 404,
      body: { error: 'not_found', error_description: 'there is no such workspace in this region' },
    }
  }
}
