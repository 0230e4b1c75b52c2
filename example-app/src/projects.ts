/** The projects that the API serves. They live in memory, until the process ends. */

import { EventEmitter } from 'node:events'

export interface Project {
  readonly id: number
  readonly name: string
  readonly description: string
  readonly owner: string
  /** ISO 8601. */
  readonly createdAt: string
}

export type NewProject = Pick<Project, 'name' | 'description'>

/** Who owns how many. */
export interface Report {
  readonly total: number
  readonly owners: readonly { readonly owner: string; readonly projects: number }[]
}

const seeds = [
  ['Harbour map', 'Every berth and crane, on paper and on screen', 'alice', '2026-03-02'],
  ['Autumn catalogue', '48 pages, printed in September', 'bob', '2026-05-18'],
  ['Solar roof survey', 'Which of our roofs carry panels?', 'alice', '2026-08-11'],
] as const

const list: Project[] = seeds.map(([name, description, owner, day], index) => ({
  id: index + 1,
  name,
  description,
  owner,
  createdAt: `${day}T09:00:00.000Z`,
}))

/** All projects, the oldest first. */
export const projects: readonly Project[] = list

const additions = new EventEmitter<{ added: [Project] }>().setMaxListeners(0)

/** Tells of each project that is added, until the function that it gives is called. */
export function onProjectAdded(tell: (project: Project) => void): () => void {
  additions.on('added', tell)
  return () => additions.off('added', tell)
}

const limits = { name: 60, description: 200, projects: 200 }

/** A project out of a request's body, or a sentence about what is wrong with it. */
export function parseNewProject(body: unknown): NewProject | string {
  if (typeof body !== 'object' || body === null) return 'send a JSON object with "name" and "description"'
  const { name, description = '' }: Record<string, unknown> = { ...body }
  if (typeof name !== 'string' || name.trim() === '') return '"name" must be a text, and not an empty one'
  if (name.length > limits.name) return `"name" must have at most ${limits.name} characters`
  if (typeof description !== 'string') return '"description" must be a string'
  if (description.length > limits.description) {
    return `"description" must have at most ${limits.description} characters`
  }
  if (list.length >= limits.projects) return `this demo keeps at most ${limits.projects} projects`
  return { name: name.trim(), description: description.trim() }
}

export function addProject(project: NewProject, owner: string): Project {
  const added = { ...project, id: list.length + 1, owner, createdAt: new Date().toISOString() }
  list.push(added)
  additions.emit('added', added)
  return added
}

export function report(): Report {
  const owners = [...new Set(list.map(({ owner }) => owner))]
  const count = (owner: string) => list.filter((project) => project.owner === owner).length
  return { total: list.length, owners: owners.map((owner) => ({ owner, projects: count(owner) })) }
}
