/**
 * Server-sent events as our server writes them, up to the end of the answer. Not EventSource, which cannot send a key.
 * @param {Response} response
 * @param {(name: string, data: any) => void} onEvent
 * @param {(ms: number) => void} onRetry how long the server asks to wait before coming back
 */
export async function readEvents(response, onEvent, onRetry) {
  if (response.body === null) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const blocks = (rest + value).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const lines = block.split('\n').map(line => /^(\w+): ?(.*)$/.exec(line))
      const fields = new Map(lines.map(line => [line?.[1] ?? '', line?.[2] ?? '']))
      if (fields.has('retry')) onRetry(Number(fields.get('retry')))
      const data = fields.get('data')
      if (data !== undefined) onEvent(fields.get('event') ?? 'message', JSON.parse(data))
    }
  }
}
