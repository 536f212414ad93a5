/** SCRAM against the published exchanges, and against servers that are not whom they claim to be. */
import t from 'tap'
import { scramExchange } from '../../../../runtime/adapters/kafka/scram.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (message: Uint8Array | undefined): string => new TextDecoder().decode(message)

/** RFC 7677, section 3. */
const nonce = 'rOprNGfwEbeRWgbNEkqO'
const challenge = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'
const example = (): ReturnType<typeof scramExchange> =>
  scramExchange({ mechanism: 'SCRAM-SHA-256', user: 'user', password: 'pencil', nonce })

void t.test('the exchange of RFC 7677', t => {
  const exchange = example()
  t.equal(exchange.mechanism, 'SCRAM-SHA-256')
  t.equal(text(exchange.first()), `n,,n=user,r=${nonce}`)
  t.equal(
    text(exchange.next(bytes(challenge))),
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ='
  )
  t.equal(exchange.next(bytes('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')), undefined)
  t.end()
})

void t.test('a server that cannot prove itself, or wants too little or too much, is not believed', t => {
  const second = (message: string): (() => unknown) => {
    const exchange = example()
    exchange.next(bytes(challenge))
    return () => exchange.next(bytes(message))
  }
  const first = (message: string) => () => example().next(bytes(message))
  t.throws(second('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95H4='), /does not know the password/)
  t.throws(second('v='), /does not know the password/)
  t.throws(second('e=invalid-proof'), /refuses: invalid-proof/)
  t.throws(first(challenge.replace('r=rO', 'r=xx')), /another exchange/)
  t.throws(first(`r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`), /another exchange/)
  t.throws(first(challenge.replace('4096', '1')), /wants 1 iterations/)
  t.throws(first(challenge.replace('4096', '99999999')), /wants 99999999 iterations/)
  t.throws(first('what?'), /does not know/)
  t.end()
})

void t.test('names with commas and equals signs are told apart from the grammar', t => {
  const exchange = scramExchange({ mechanism: 'SCRAM-SHA-512', user: 'a=b,c', password: 'p', nonce: 'n' })
  t.equal(text(exchange.first()), 'n,,n=a=3Db=2Cc,r=n')
  t.not(text(scramExchange({ mechanism: 'SCRAM-SHA-512', user: 'a', password: 'p' }).first()).length, 8)
  t.end()
})
