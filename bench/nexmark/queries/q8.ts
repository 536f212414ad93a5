/** Query 8, monitor new users: who sold something within the 10 s in which they registered. */
import { Actor, job, seconds, type Context, type Decoded } from 'cairn'
import { events, results, type OfKind } from '../events.ts'
import { inputs } from '../inputs.ts'

type Input = Decoded<(typeof inputs)[8]>
type Event = OfKind<Input, 'person' | 'auction'>

export interface Row {
  readonly id: number
  readonly name: string
  readonly starttime: number
}

const size = seconds(10)
const startOf = (event: Event): number => event.dateTime - (event.dateTime % size)
const matters = (event: Input): event is Event => event.kind !== 'bid'

/** A person in one window, named by its start. */
export class NewUser extends Actor {
  name = ''
  sells = false
  told = false

  receive(event: Event, ctx: Context<Row, readonly [number, number]>) {
    const [id, starttime] = ctx.key
    if (this.name === '' && !this.sells) ctx.timer('over', starttime + size)
    if (event.kind === 'person') this.name = event.name
    else this.sells = true
    if (this.name === '' || !this.sells || this.told) return
    this.told = true
    ctx.emit({ id, name: this.name, starttime })
  }

  override onTimer(_name: string, ctx: Context<Row, readonly [number, number]>) {
    ctx.forget()
  }
}

export default job('nexmark-q8', j => ({
  users: events(j, inputs[8])
    .filter(matters)
    .keyBy(event => [event.kind === 'person' ? event.id : event.seller, startOf(event)])
    .actor(NewUser)
    .to('users', results<Row>(8))
}))
