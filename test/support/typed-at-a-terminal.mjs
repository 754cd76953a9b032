// Preloaded into a command (NODE_OPTIONS=--import): its standard input is a terminal at which TYPED is typed.
import { PassThrough } from 'node:stream'

const input = Object.assign(new PassThrough(), { isTTY: true })
Object.defineProperty(process, 'stdin', { value: input })
input.write(`${process.env.TYPED}\n`)
