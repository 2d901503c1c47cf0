"use strict";

// A file of its own, because the page's content security policy allows no inline script.
SwaggerUIBundle({
  domNode: document.getElementById("operations"),
  url: document.getElementById("operations").dataset.document,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  // Nothing leaves the appliance's network, and no link can put another document in the place of this one.
  validatorUrl: null,
  queryConfigEnabled: false,
});
