// The HTTP API, as any program uses it; the cookie of the login goes with each request by itself.

const ROOT = "api/v1/";
const NAMES = { read: 0, command: 1, admin: 2 };

/** Problem that the API answered: `status`, `title`, `description`, and the whole answer as `body`. */
export class Problem extends Error {
	constructor(status, body) {
		super(body.description || body.detail || body.title || `HTTP ${status}`);
		this.status = status;
		this.title = body.title || "";
		this.body = body;
	}
}

/** Who is logged in; `changed` listeners are told when that ends. */
export const login = {
	name: "",
	scope: "read",
	login: false,
	expires_at: null,
	ended: () => {},
	/** Tell if the token is for what needs this scope. */
	may(scope) {
		return NAMES[this.scope] >= NAMES[scope];
	},
};

/** Write a path with its segments encoded: path("charge-points", id, "events"). */
export function path(...segments) {
	return segments.map(encodeURIComponent).join("/");
}

/** Write a path with a query; what is empty is left out. */
export function withQuery(path, query) {
	const found = Object.entries(query || {}).filter(([, value]) => value !== "" && value !== null && value !== undefined);
	const text = new URLSearchParams(found.map(([name, value]) => [name, value === true ? "1" : value])).toString();
	return text ? `${path}?${text}` : path;
}

/** Ask for JSON. Throws `Problem`, and TypeError where the server cannot be reached. */
export async function get(path, query, options) {
	return ask("GET", withQuery(path, query), undefined, options);
}

/** Change something: `body` is sent as JSON. */
export async function send(method, path, body, query) {
	return ask(method, withQuery(path, query), body);
}

async function ask(method, path, body, options = {}) {
	const reply = await fetch(ROOT + path, {
		method,
		headers: {
			...(method === "GET" ? {} : { "X-Chargehand-Page": "1" }),
			...(body === undefined ? {} : { "Content-Type": "application/json" }),
		},
		body: body === undefined ? undefined : JSON.stringify(body),
		cache: "no-cache",
		...options,
	});
	const text = await reply.text();
	let answer = {};
	try {
		answer = text ? JSON.parse(text) : {};
	} catch {
		answer = { title: reply.ok ? "" : reply.statusText, text };
	}
	if (reply.ok) return answer;
	if (reply.status === 401 && path !== "login") login.ended();
	throw new Problem(reply.status, answer);
}

/** Ask who is logged in. */
export async function whoIsIt() {
	Object.assign(login, await get("login"));
	return login;
}

/** Log in with a token. */
export async function logIn(token) {
	Object.assign(login, await send("POST", "login", { token }));
}

/** Log out, everywhere. */
export async function logOut() {
	await send("DELETE", "login");
	Object.assign(login, { name: "", scope: "read", login: false });
}

/** Read all pages of a list, and call `take` with each; `member` names the rows. Returns when all are read. */
export async function pages(path, query, member, cursor, take) {
	let next = null;
	do {
		const page = await get(path, { ...query, ...(next === null ? {} : { [cursor]: next }) });
		take(page[member], page);
		next = page.more ? page.next : null;
	} while (next !== null);
}
