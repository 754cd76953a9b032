import { defineConfig } from 'holdfast'
import { orders } from 'holdfast/orders'
import returns from './returns.ts'

export default defineConfig({ streams: [orders, returns] })
