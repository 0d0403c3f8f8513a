// Swagger UI on our own document. Where this API lives is worked out from this page, so that it works under any prefix.
"use strict";
// No emulator issues App Check tokens: a laptop takes an unsigned one. Elsewhere none is sent from here.
async function laptopAppCheck() {
  const config = await (await fetch(new URL("playground/config.json", window.location.href))).json();
  if (!config.auth_emulator) return null;
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: "swagger", aud: [`projects/${config.project}`], iat: now, exp: now + 86400 };
  const part = (value) => btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return `${part({ alg: "none", typ: "JWT" })}.${part(claims)}.`;
}

window.addEventListener("load", async () => {
  const appCheck = await laptopAppCheck();
  const url = new URL("openapi.json", window.location.href);
  const spec = await (await fetch(url)).json();
  spec.servers = spec.servers.map((server) => ({ ...server, url: new URL(server.url, url).href.replace(/\/$/, "") }));
  window.ui = SwaggerUIBundle({
    spec,
    dom_id: "#swagger-ui",
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "none", // with all lists open, Swagger UI stops drawing at about 125 operations
    defaultModelsExpandDepth: 0,
    filter: true,
    persistAuthorization: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    requestInterceptor: async (request) => {
      const token = request.headers.Authorization ? null : await window.signedInToken();
      if (token) request.headers.Authorization = `Bearer ${token}`;
      if (appCheck) request.headers["X-Firebase-AppCheck"] ??= appCheck;
      return request;
    },
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
});
