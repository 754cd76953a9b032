export function duration(seconds: number): string
