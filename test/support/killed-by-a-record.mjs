// Preloaded into a service (NODE_OPTIONS=--import): a record that holds this text ends the process, as a native crash or
// the kernel's out-of-memory killer would, leaving no error behind.
const parse = JSON.parse
JSON.parse = (text, ...rest) => {
  if (typeof text === 'string' && text.includes('ends-the-process')) process.kill(process.pid, 'SIGKILL')
  return parse(text, ...rest)
}
