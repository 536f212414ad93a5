/** Query 22, get URL directories: the folders of each bid's URL. */
import { job } from 'cairn'
import { events, isBid, results, type Bid } from '../events.ts'
import { inputs } from '../inputs.ts'

export interface Row extends Pick<Bid, 'auction' | 'bidder' | 'price' | 'channel'> {
  readonly dir1: string
  readonly dir2: string
  readonly dir3: string
}

export default job('nexmark-q22', j => ({
  bids: events(j, inputs[22])
    .filter(isBid)
    .map(({ auction, bidder, price, channel, url }): Row => {
      const [, , , dir1 = '', dir2 = '', dir3 = ''] = url.split('/')
      return { auction, bidder, price, channel, dir1, dir2, dir3 }
    })
    .to('bids', results<Row>(22))
}))
