// A global of /docs/swagger-ui-bundle.js, which is not a module.
const { SwaggerUIBundle } = /** @type {any} */ (globalThis)
SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  // The badge would be loaded from a validator on the internet and send it the address of this service.
  validatorUrl: null,
})
