// The place in the page is the fragment of its address: #/transactions/17?limit=50. So it works below any path.

/** Read the address: path segments and query. */
export function place() {
	const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
	return {
		segments: path.split("/").filter(Boolean).map(decoded),
		query: Object.fromEntries(new URLSearchParams(query || "")),
	};
}

function decoded(segment) {
	try {
		return decodeURIComponent(segment);
	} catch {
		return segment;
	}
}

/** Write the address of a place: href(["charge-points", id], {tab: "frames"}). */
export function href(segments, query) {
	const found = Object.entries(query || {}).filter(([, value]) => value !== "" && value !== null && value !== undefined);
	const text = new URLSearchParams(found).toString();
	return `#/${[segments].flat().map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Go to a place. */
export function go(segments, query) {
	location.hash = href(segments, query);
}

/** Change the query of this place: filters can be sent to others. Back leads to where this place was entered. */
export function setQuery(changes) {
	const { segments, query } = place();
	history.replaceState(history.state, "", href(segments, { ...query, ...changes }));
}

/** Find the view of a path among patterns as "transactions/:id"; returns it with its parameters, or null. */
export function match(views, segments) {
	for (const view of views) {
		const pattern = view.path.split("/");
		if (pattern.length !== segments.length) continue;
		const parameters = {};
		const fits = pattern.every((one, number) => {
			if (!one.startsWith(":")) return one === segments[number];
			parameters[one.slice(1)] = segments[number];
			return true;
		});
		if (fits) return { view, parameters };
	}
	return null;
}
