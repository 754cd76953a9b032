// A global of /docs/swagger-ui-bundle.js, which is not a module.
const { SwaggerUIBundle } = /** @type {any} */ (globalThis)

/** Swagger UI has a dark skin, which it takes by this class and not by the setting of the browser. */
const dark = matchMedia('(prefers-color-scheme: dark)')
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', paint)
paint()

/**
 * The parts of Swagger UI in an order of our own, because screen readers stumble over the order of its package: it has a second main
 * landmark, headings that skip a level, a choice of servers without a name (there is one), and links within buttons.
 */
const ourLayout = ({ React: { createElement: h } }) => ({
  components: {
    OurLayout({ getComponent, specSelectors }) {
      const part = name => h(getComponent(name, true))
      if (specSelectors.loadingStatus() !== 'success') return h('div', { className: 'swagger-ui' }, part('errors'))
      return h(
        'div',
        { className: 'swagger-ui' },
        h(getComponent('SvgAssets')),
        part('errors'),
        h('div', { className: 'wrapper' }, part('InfoContainer')),
        h(
          'div',
          { className: 'scheme-container' },
          h('div', { className: 'schemes wrapper' }, part('AuthorizeBtnContainer')),
        ),
        h(
          'div',
          { className: 'wrapper' },
          h('h2', { className: 'visually-hidden' }, 'Operations'),
          part('operations'),
          part('Models'),
        ),
      )
    },
  },
  wrapComponents: {
    DeepLink:
      () =>
      ({ text }) =>
        h('span', {}, text),
  },
})

SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  plugins: [ourLayout],
  layout: 'OurLayout',
  // The badge would be loaded from a validator on the internet and send it the address of this service.
  validatorUrl: null,
})
