// The views of the page. To add one: write views/NAME.js, which defines a custom element that extends `Part`
// (lib/dom.js), and give it a line here. `path` is its address behind #/, with `:name` for a parameter; the element
// gets `parameters` and `query` before `start()` is called, and `moved(query)` when only the query has changed.
// A view with a `title` and an `icon` stands in the navigation. Styles of views are in views.css.

export const views = [
	{ path: "fleet", element: "fleet-view", title: "Fleet", icon: "fleet", load: () => import("./views/fleet.js") },
	{ path: "charge-points/:id", element: "charge-point-view", load: () => import("./views/charge-point.js") },
	{ path: "transactions", element: "transactions-view", title: "Transactions", icon: "transactions", load: () => import("./views/transactions.js") },
	{ path: "transactions/:id", element: "transaction-view", load: () => import("./views/transaction.js") },
	{ path: "tags", element: "tags-view", title: "Tags", icon: "tags", load: () => import("./views/tags.js") },
	{ path: "reservations", element: "reservations-view", title: "Reservations", icon: "reservations", load: () => import("./views/reservations.js") },
	{ path: "keys", element: "keys-view", title: "Keys", icon: "keys", load: () => import("./views/keys.js") },
	{ path: "local-lists", element: "local-lists-view", title: "Local lists", icon: "lists", load: () => import("./views/local-lists.js") },
	{ path: "supervision", element: "supervision-view", title: "Supervision", icon: "supervision", load: () => import("./views/supervision.js") },
	{ path: "system", element: "system-view", title: "System", icon: "system", load: () => import("./views/system.js") },
];
