/** Express 4 under its alias, which has no types of its own: the part used here is the same as in Express 5. */
declare module 'express4' {
  export { default } from 'express'
}
