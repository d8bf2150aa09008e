// A list that is read whole and searched here: tags, reservations, keys, local lists.

import { failure } from "./dialog.js";
import { fill, h, icon, Part, say } from "./dom.js";
import { count } from "./format.js";
import { setQuery } from "./router.js";
import { sortedBy } from "./table.js";

const AGAIN_MS = 15000;

/**
 * Base of views with one list. A view has `title`, `columns`, `key(row)`, `text(row)` to search in, `read()` that returns
 * the rows, and may have `tools()`, elements for the bar, `open(row)`, `narrow(row)`, `choose(ids)` and `empty`.
 */
export class ListView extends Part {
	empty = "Nothing here.";
	rows = [];
	table = h("data-table");
	#count = h("p.count", { role: "status" });
	#search;
	#tools = h("div.tools");

	start() {
		this.classList.add("list-view");
		this.#search = h("input", { type: "search", placeholder: "Search…", "aria-label": `Search ${this.title.toLowerCase()}`, value: this.query.q || "", oninput: () => this.set({ q: this.#search.value.trim() }) });
		Object.assign(this.table, {
			columns: this.columns,
			key: this.key,
			label: this.title,
			empty: "Reading…",
			open: this.open ? (row) => this.open(row) : null,
			narrow: this.narrow || null,
			choose: this.choose ? (ids) => this.choose(ids) : null,
			order: { id: this.query.sort || this.columns[0].id, down: this.query.down === "1" },
			sorted: (order) => this.set({ sort: order.id, down: order.down ? "1" : "" }),
		});
		fill(this.#tools, this.tools?.() || []);
		this.append(h("h1.visually-hidden", this.title), h("div.bar", h("div.search", icon("search"), this.#search), this.#count, this.#tools), ...(this.above?.() || []), this.table);
		this.every(AGAIN_MS, () => this.again());
	}

	moved(query) {
		this.query = query;
		if (this.#search.value.trim() !== (query.q || "")) this.#search.value = query.q || "";
		this.draw();
	}

	/** Change the query of the address. */
	set(changes) {
		Object.assign(this.query, changes);
		setQuery(changes);
		this.draw();
	}

	/** Read the list again. */
	async again() {
		try {
			this.rows = await this.read();
			this.table.empty = this.empty;
		} catch (error) {
			this.table.empty = failure(error);
		}
		if (this.isConnected) this.draw();
	}

	draw() {
		const words = (this.query.q || "").toLowerCase().split(/\s+/).filter(Boolean);
		const found = this.rows.filter((row) => {
			const text = this.text(row).toLowerCase();
			return words.every((word) => text.includes(word)) && (!this.fits || this.fits(row));
		});
		this.table.show(sortedBy(found, this.columns, { id: this.query.sort || this.columns[0].id, down: this.query.down === "1" }));
		say(this.#count, found.length === this.rows.length ? count(found.length) : `${count(found.length)} of ${count(this.rows.length)}`);
	}
}
