/** Shopping sessions: what each visitor did until half an hour passed without a click, and the baskets that were left behind. */
import { files, generator, hours, job, json, minutes, session, type Windowed } from 'cairn'

export interface Click {
  visitor: string
  action: 'look' | 'put' | 'buy'
  product: string
  cents: number
  at: number
}
export interface Visit {
  visitor: string
  start: number
  minutes: number
  looked: number
  bought: number
  leftBehind: readonly string[]
}

function visit(clicks: readonly Click[], { key, start }: Windowed<string>): Visit {
  const basket = new Set<string>()
  let bought = 0
  for (const { action, product, cents } of clicks) {
    if (action === 'put') basket.add(product)
    if (action === 'buy' && basket.delete(product)) bought += cents
  }
  return {
    visitor: key,
    start,
    minutes: Math.round(((clicks.at(-1)?.at ?? start) - start) / minutes(1)),
    looked: clicks.filter(click => click.action === 'look').length,
    bought,
    leftBehind: [...basket]
  }
}

/** 400 visitors who come twice a day for a while; every tenth click is reported minutes later, and a few a day later. */
function click(n: number): Click {
  const visitor = (n * 31) % 400
  const round = Math.floor(n / 400)
  const day = Math.floor(round / 10)
  const step = round % 5
  const at = day * hours(24) + (round % 10 < 5 ? hours(9) : hours(19)) + visitor * 100 + step * minutes(7)
  const late = n % 4001 === 0 ? hours(24) : n % 10 === 0 ? minutes(4) : 0
  const product = `p${(visitor * 13 + day + (step < 2 ? step : 0)) % 90}`
  const action = step === 2 ? 'put' : step === 4 && visitor % 3 > 0 ? 'buy' : 'look'
  return { visitor: `v${visitor}`, action, product, cents: 500 + visitor, at: at - late }
}

export default job('shopping', j => {
  const clicks = j.source('clicks', generator({ count: 20_000 }, click), { time: each => each.at, outOfOrder: '5m' })
  const visits = clicks
    .keyBy(each => each.visitor)
    .window(session('30m'), { lateness: '1h' })
    .collect(visit)
  return {
    clicks,
    visits: visits.to('visits', files('.cairn/shopping/visits', json<Visit>())),
    abandoned: visits
      .filter(each => each.leftBehind.length > 0)
      .to('abandoned', files('.cairn/shopping/abandoned', json<Visit>())),
    late: visits.late.to('late', files('.cairn/shopping/late', json<Click>()))
  }
})
