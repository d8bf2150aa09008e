// Local lists: the tags that charge points are believed to know by themselves; bringing them in step with the tags.

import { get, login, path, send } from "../lib/api.js";
import { attempt, button, csv, dialog, download, failure, field, form, toast } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { fleet } from "../lib/fleet.js";
import { count, state, time } from "../lib/format.js";
import { ListView } from "../lib/list.js";
import { href } from "../lib/router.js";

const NAMES = ["id_tag", "status", "expiry", "parent"];
const AT_ONCE = 4;

function stateOf(row) {
	if (row.problem) return state(row.problem, "bad");
	if (row.list === null) return state("Unknown", "off", "Nothing is known of a local list of it");
	return row.list.certain ? state("Known", "good") : state("Uncertain", "wait", "An update may or may not have reached it");
}

class LocalListsView extends ListView {
	title = "Local lists";
	empty = "No charge point yet.";
	key = (row) => row.id;
	columns = [
		{ id: "cp", title: "Charge point", width: "minmax(140px, 1.2fr)", sort: (row) => row.id, cell: (row) => h("a", { href: href(["charge-points", row.id]), tabindex: "-1" }, row.id) },
		{ id: "online", title: "Connection", from: 700, width: "110px", sort: (row) => !row.connected, cell: (row) => (row.connected ? state("Online", "good") : state("Offline", "off")) },
		{ id: "state", title: "List", width: "minmax(120px, 1fr)", sort: (row) => stateOf(row).textContent, cell: stateOf },
		{ id: "version", title: "Version", width: "80px", align: "right", sort: (row) => row.list?.version, cell: (row) => row.list?.version ?? "" },
		{ id: "tags", title: "Tags", width: "70px", align: "right", sort: (row) => size(row), cell: (row) => (row.list ? count(size(row)) : "") },
		{ id: "changed", title: "Changed", width: "130px", sort: (row) => row.list?.changed_at, cell: (row) => time(row.list?.changed_at) },
	];
	text = (row) => row.id;
	narrow = (row) => [h("div.line", h("span.strong", row.id), h("span.right", row.list ? `${count(size(row))} tags` : "")), h("div.line", stateOf(row), h("span.quiet.right", row.list ? `version ${row.list.version}` : row.connected ? "" : "offline"))];
	choose = login.may("command") ? () => this.#bar() : null;
	#problems = new Map();
	#chosen = h("div.chosen-bar", { role: "group", "aria-label": "Selected charge points", hidden: true });

	above() {
		return [this.#chosen];
	}

	read = async () => {
		fleet.start();
		const lists = new Map((await get("local-lists")).local_lists.map((list) => [list.charge_point, list]));
		for (const id of fleet.rows.keys()) if (!lists.has(id)) lists.set(id, null);
		return [...lists].map(([id, list]) => ({ id, connected: Boolean(fleet.rows.get(id)?.connected), list, problem: this.#problems.get(id) }));
	};

	start() {
		super.start();
		if (!fleet.loaded) fleet.addEventListener("change", () => this.isConnected && this.again(), { once: true });
	}

	open = async (row) => {
		if (!row.list) return;
		let rows;
		if (!(await attempt(async () => (rows = tagsOf(await get(path("charge-points", row.id, "local-list"))))))) return;
		dialog(`Local list of ${row.id}`, [
			h("div.dialog-body", h("p.intro", `Version ${row.list.version}, ${count(rows.length)} tags, ${row.list.certain ? "as the charge point has accepted it" : "as far as it is known"}.`),
				h("div.table-wrap", h("table", h("thead", h("tr", ["Tag", "Status", "Valid until", "Parent"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", rows.slice(0, 1000).map((tag) => h("tr", h("td", tag.id_tag), h("td", tag.status), h("td", time(tag.expiry)), h("td", tag.parent))))))),
			h("footer", h("button", { onclick: () => download(`local-list-${row.id}.csv`, csv(NAMES, rows), "text/csv") }, "Export CSV")),
		], { wide: true });
	};

	#bar() {
		const ids = [...this.table.chosen];
		this.#chosen.hidden = !ids.length;
		fill(this.#chosen, h("span", `${count(ids.length)} selected`), button("Bring in step with the tags…", () => this.#sync(ids), { scope: "command", kind: "primary" }));
	}

	async #sync(ids) {
		const fields = [
			field("full", "Send all of it, not the changes only", { type: "checkbox" }),
			field("clear_cache", "Clear the cache of the charge point, too", { type: "checkbox" }),
		];
		const saved = await form(`Local list of ${count(ids.length)} charge point${ids.length === 1 ? "" : "s"}`, fields, "Send", async ({ full, clear_cache }) => {
			let done = 0;
			await inTurn(ids, async (id) => {
				try {
					await send("POST", path("charge-points", id, "local-list"), undefined, { full, clear_cache });
					this.#problems.delete(id);
					done++;
				} catch (error) {
					this.#problems.set(id, failure(error));
				}
			});
			toast(`${count(done)} of ${count(ids.length)} are in step.`, done === ids.length ? "good" : "bad");
		});
		if (saved) this.again();
	}
}

const size = (row) => row.list?.entries ?? null;

/** Rows of a list: its tags with their facts in our words, as either version has sent them. */
function tagsOf(list) {
	return Object.entries(list.tags).map(([key, told]) => {
		const facts = told || {};
		return { id_tag: key.split("\x1f")[0], status: facts.status || "", expiry: facts.expiryDate || facts.cacheExpiryDateTime || null, parent: facts.parentIdTag || facts.groupIdToken?.idToken || "" };
	});
}

/** Do something for each, a few at a time. */
async function inTurn(all, work) {
	const waiting = [...all];
	const worker = async () => {
		while (waiting.length) await work(waiting.shift());
	};
	await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

customElements.define("local-lists-view", LocalListsView);
