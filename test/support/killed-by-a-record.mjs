// Preloaded into a service (NODE_OPTIONS=--import): a record that holds this text ends the process, as a native crash or
// the kernel's out-of-memory killer would, leaving no error behind.
import buffer from 'node:buffer'
import { syncBuiltinESMExports } from 'node:module'

const TEXT = 'ends-the-process'

function dieOf(input) {
  if (input.includes(TEXT)) process.kill(process.pid, 'SIGKILL')
}

// The first that is done with the bytes of a record, on each way to its value.
const { isAscii } = buffer
buffer.isAscii = bytes => {
  if (Buffer.isBuffer(bytes)) dieOf(bytes)
  return isAscii(bytes)
}
syncBuiltinESMExports()

const parse = JSON.parse
JSON.parse = (text, ...rest) => {
  if (typeof text === 'string') dieOf(text)
  return parse(text, ...rest)
}
