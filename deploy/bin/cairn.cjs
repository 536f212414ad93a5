#!/usr/bin/env node
// Before anything loads: the thread pool must not be the first bottleneck, and stack traces show TypeScript lines.
process.env.UV_THREADPOOL_SIZE ??= '16'
process.setSourceMapsEnabled(true)
const { existsSync } = require('node:fs')
const { join } = require('node:path')
const main = () => import('../../dist/deploy/main.js')
// A clone that was never built; a package always is.
if (existsSync(join(__dirname, '../../dist/deploy/main.js'))) main()
else
  import('../setup/prepare.mjs')
    .then(({ prepare }) => prepare())
    .then(() => import('../setup/fill-demo.mjs'))
    .then(({ fillDemo }) => fillDemo())
    .then(main)
