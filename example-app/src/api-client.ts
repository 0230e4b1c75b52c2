/** The API as the app sees it: functions that take an access token. */

import type { NewProject, Project, Report } from './projects.js'

export interface ApiClient {
  projects(token: string): Promise<readonly Project[]>
  /** Nothing when it worked, otherwise what the API finds wrong with the project. */
  createProject(token: string, project: NewProject): Promise<string | undefined>
  report(token: string): Promise<Report>
}

/** The API cannot be reached, or did not do what it was asked. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
}

const deadline = 10_000

export function apiClient(apiUrl: string): ApiClient {
  return {
    async projects(token) {
      const { projects } = await read<{ projects: Project[] }>('/v1/projects', token)
      return projects
    },
    async createProject(token, project) {
      const answer = await send('/v1/projects', token, project)
      if (answer.ok) return undefined
      const problem = await explanation(answer)
      if (answer.status === 400) return problem
      throw new ApiError(`the API answered ${answer.status}: ${problem}`)
    },
    report: (token) => read<Report>('/v1/admin/report', token),
  }

  async function read<T>(path: string, token: string): Promise<T> {
    const answer = await send(path, token)
    if (answer.ok) return JSON.parse(await answer.text())
    throw new ApiError(`the API answered ${answer.status}: ${await explanation(answer)}`)
  }

  async function send(path: string, token: string, body?: unknown): Promise<Response> {
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
    const content = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    try {
      return await fetch(new URL(path, apiUrl), {
        headers,
        ...content,
        signal: AbortSignal.timeout(deadline),
      })
    } catch (cause) {
      throw new ApiError(`the API at ${apiUrl} cannot be reached`, { cause })
    }
  }
}

async function explanation(answer: Response): Promise<string> {
  const body = await answer.json().catch(() => undefined)
  const { error_description: description }: Record<string, unknown> = { ...Object(body) }
  return typeof description === 'string' ? description : 'it does not say why'
}
