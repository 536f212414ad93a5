/** What each query reads of its events, besides their time. A query and the loop beside it read the same. */
import { nexmarkFields } from './events.ts'

const wholeAuction = [
  'id',
  'itemName',
  'description',
  'initialBid',
  'reserve',
  'expires',
  'seller',
  'category',
  'extra'
] as const
const wholeBid = ['auction', 'bidder', 'price', 'channel', 'url', 'extra'] as const

export const inputs = {
  0: nexmarkFields({ bid: ['auction', 'bidder', 'price', 'extra'] }),
  1: nexmarkFields({ bid: ['auction', 'bidder', 'price', 'extra'] }),
  2: nexmarkFields({ bid: ['auction', 'price'] }),
  3: nexmarkFields({ person: ['id', 'name', 'city', 'state'], auction: ['id', 'seller', 'category'] }),
  4: nexmarkFields({ auction: ['id', 'category', 'expires'], bid: ['auction', 'price'] }),
  5: nexmarkFields({ bid: ['auction'] }),
  7: nexmarkFields({ bid: ['auction', 'price', 'bidder', 'extra'] }),
  8: nexmarkFields({ person: ['id', 'name'], auction: ['seller'] }),
  9: nexmarkFields({ auction: wholeAuction, bid: ['auction', 'bidder', 'price', 'extra'] }),
  11: nexmarkFields({ bid: ['bidder'] }),
  12: nexmarkFields({ bid: ['bidder'] }),
  14: nexmarkFields({ bid: ['auction', 'bidder', 'price', 'extra'] }),
  15: nexmarkFields({ bid: ['auction', 'bidder', 'price'] }),
  16: nexmarkFields({ bid: ['auction', 'bidder', 'price', 'channel'] }),
  17: nexmarkFields({ bid: ['auction', 'price'] }),
  18: nexmarkFields({ bid: wholeBid }),
  19: nexmarkFields({ bid: wholeBid }),
  20: nexmarkFields({ auction: wholeAuction, bid: wholeBid }),
  22: nexmarkFields({ bid: ['auction', 'bidder', 'price', 'channel', 'url'] })
}
