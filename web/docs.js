// From /docs/swagger-ui-bundle.js, which is no module.
const { SwaggerUIBundle } = /** @type {any} */ (globalThis)
SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  // The badge of a validator on the internet would tell it our address.
  validatorUrl: null,
})
