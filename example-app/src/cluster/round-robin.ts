/**
 * One address for several instances, as nginx or a cloud's load balancer is: each request goes to the next instance
 * that is up, without regard to who sends it. Files are served here, so that pages alternate.
 */

import express, { type Express, type Request, type Response } from 'express'
import { request } from 'node:http'
import { assets, pageHeaders } from '../page.js'
import { messagePage } from '../views.js'
import type { Instance } from './instances.js'

export function roundRobin(instances: readonly Instance[]): Express {
  let turn = 0
  const proxy = express()
  proxy.disable('x-powered-by')
  proxy.use(assets)
  proxy.use((req, res) => {
    turn = (turn + 1) % instances.length
    forward(req, res, [...instances.slice(turn), ...instances.slice(0, turn)])
  })
  return proxy
}

function forward(req: Request, res: Response, instances: readonly Instance[]): void {
  const [instance, ...others] = instances.filter(({ port }) => port !== undefined)
  if (!instance) {
    sorry(req, res)
    return
  }
  const { method, originalUrl: path, headers } = req
  const to = { host: '127.0.0.1', port: instance.port, agent: false } // a connection kept open would outlive its process
  const onward = request({ ...to, method, path, headers: { ...headers, connection: 'close' } }, (answer) => {
    const { connection: _, 'transfer-encoding': __, ...passed } = answer.headers
    res.writeHead(answer.statusCode ?? 502, passed)
    answer.pipe(res)
    answer.on('error', () => res.destroy())
  })
  onward.on('error', () => {
    if (res.headersSent || res.destroyed) res.destroy()
    // It ended under way. What only reads may be asked again; whether a form was taken, nobody knows.
    else if (method === 'GET' || method === 'HEAD') forward(req, res, others)
    else sorry(req, res)
  })
  res.on('close', () => onward.destroy())
  req.pipe(onward)
}

function sorry({ path }: Request, res: Response): void {
  const text = 'The process that was to answer has just ended. Please try again in a moment.'
  const page = messagePage({ auth: undefined, path, instance: undefined }, 503, 'One moment, please', text)
  res
    .status(503)
    .set({ ...pageHeaders(), 'Retry-After': '5' })
    .send(page.markup)
}
