// The description of the API as a page: by Swagger UI if that is installed on the server, else as a plain list.

const HINT = "For forms that try the operations, install chargehand[docs] on the server.";

/** Read the description: with the cookie of the page's login, or with a token. Returns null if neither is enough. */
async function description(token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const reply = await fetch("api/v1/openapi.json", { headers, cache: "no-cache" });
  return reply.ok ? reply.json() : null;
}

/** Show the description by Swagger UI. The token goes with the requests that the page makes, and nowhere else. */
function showForms(spec, token) {
  window.SwaggerUIBundle({
    spec,
    dom_id: "#api",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    filter: true,
    tagsSorter: undefined,
    validatorUrl: null,
    requestInterceptor(request) {
      request.headers["X-Chargehand-Page"] = "1";
      if (token && !request.headers.Authorization) {
        request.headers.Authorization = `Bearer ${token}`;
      }
      return request;
    },
  });
}

function element(name, text, ...children) {
  const made = document.createElement(name);
  made.append(...(text ? [text] : []), ...children);
  return made;
}

/** Show the description as a list: path and summary of each operation; its parameters and statuses on demand. */
function showList(spec) {
  const main = document.getElementById("api");
  main.className = "plain";
  const whole = element("a", "openapi.json");
  whole.href = "api/v1/openapi.json";
  main.append(element("h1", `${spec.info.title} HTTP API ${spec.info.version}`), element("p", `${HINT} `, whole));
  const operations = Object.entries(spec.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  );
  for (const { name } of spec.tags) {
    main.append(element("h2", name));
    for (const { path, method, operation } of operations.filter((one) => one.operation.tags.includes(name))) {
      const head = element("summary", "", element("code", `${method.toUpperCase()} ${path}`), ` ${operation.summary}`);
      const parameters = operation.parameters.map((one) =>
        element("tr", "", element("td", "", element("code", one.name)), element("td", one.description)),
      );
      const answers = Object.entries(operation.responses).map(([status, one]) =>
        element("tr", "", element("td", "", element("code", status)), element("td", one.description)),
      );
      main.append(
        element(
          "details",
          "",
          head,
          element("p", operation.description),
          element("table", "", ...parameters),
          element("table", "", ...answers),
        ),
      );
    }
  }
}

async function show(token) {
  const form = document.getElementById("login");
  const spec = await description(token);
  form.hidden = spec !== null;
  document.getElementById("refused").textContent = spec === null && token ? "The server refuses this token." : "";
  if (spec !== null) {
    (window.SwaggerUIBundle ? showForms : showList)(spec, token);
  }
}

document.getElementById("login").addEventListener("submit", (event) => {
  event.preventDefault();
  show(document.getElementById("token").value.trim());
});
show("");
