// Swagger UI on our own document. Where this API lives is worked out from this page, so that it works under any prefix.
"use strict";
window.addEventListener("load", async () => {
  const url = new URL("openapi.json", window.location.href);
  const spec = await (await fetch(url)).json();
  spec.servers = spec.servers.map((server) => ({ ...server, url: new URL(server.url, url).href.replace(/\/$/, "") }));
  window.ui = SwaggerUIBundle({
    spec,
    dom_id: "#swagger-ui",
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    filter: true,
    persistAuthorization: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
});
