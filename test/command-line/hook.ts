/** `node --import` this: test files get `drive` and `tap` from this folder instead. */
import { register } from 'node:module'

register('./resolve-hook.js', import.meta.url)
