export function bytesOf(hex: string): Uint8Array
export function hexDump(bytes: Uint8Array, limit?: number): string
