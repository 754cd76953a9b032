/** The same rule as the schema's `order_uid`; a uid that no order can have is not asked for. */
export const UID = /^[A-Za-z0-9_-]{1,64}$/
