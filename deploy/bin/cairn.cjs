#!/usr/bin/env node
// Before anything loads: the thread pool must not be the first bottleneck, and stack traces show TypeScript lines.
process.env.UV_THREADPOOL_SIZE ??= '16'
process.setSourceMapsEnabled(true)
import('../../dist/deploy/main.js')
