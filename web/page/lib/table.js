// Table of any length: only the rows that are seen are elements. Keys: arrows, Page Up and Down, Home, End, Enter, Space.

import { fill, h, Part, say } from "./dom.js";

const MORE = 6; // rows drawn above and below what is seen

/**
 * `<data-table>`: `columns` are {id, title, cell(row), width, sort(row), align, hide}; `rows` any array; `key(row)` its
 * id; a column with `from` is there from that width on; `open(row)` is called by Enter and a click; with `choose(ids)` rows can be selected. `narrow(row)` draws a row
 * where the page is narrow.
 */
export class DataTable extends Part {
	columns = [];
	rows = [];
	key = (row) => row.id;
	open = null;
	link = null;
	choose = null;
	near = null; // called when the end is nearly seen
	narrow = null;
	sorted = null; // called with {id, down}
	label = "";
	empty = "Nothing here.";
	chosen = new Set();
	order = { id: "", down: false };
	#head;
	#scroll;
	#space;
	#body;
	#drawn = new Map(); // place -> element
	#active = 0;
	#wanted = false;
	#narrow = false;
	#width = 0;

	start() {
		this.#head = h("div", { role: "rowgroup", class: "table-head" });
		this.#body = h("div", { role: "rowgroup", class: "table-body" });
		this.#space = h("div.table-space", { role: "presentation" }, this.#body);
		this.#scroll = h("div.table-scroll", { role: "grid", "aria-label": this.label, "aria-multiselectable": this.choose ? "true" : null }, this.#head, this.#space);
		this.append(this.#scroll);
		this.#scroll.addEventListener("scroll", () => this.draw(), { passive: true });
		this.#scroll.addEventListener("keydown", (event) => this.#key(event));
		this.#body.addEventListener("click", (event) => this.#click(event));
		const size = new ResizeObserver(() => (this.#scroll.clientWidth === this.#width ? this.draw() : this.#resized()));
		size.observe(this.#scroll);
		this.until(() => size.disconnect());
		this.#resized();
	}

	/** Show rows, sorted already; the place and the selection stay. */
	show(rows) {
		this.rows = rows;
		this.draw(true);
	}

	/** Pixels above what is seen. */
	get scroll() {
		return this.#scroll?.scrollTop || 0;
	}

	/** Ids of the rows that are seen. */
	seen() {
		return [...this.#drawn.keys()].sort((a, b) => a - b).map((place) => this.rows[place]).filter(Boolean).map(this.key);
	}

	/** Draw everything again: columns have come or gone. */
	again() {
		if (this.#scroll) this.#resized();
	}

	#resized() {
		this.#narrow = this.narrow !== null && this.#scroll.clientWidth < 640;
		this.#width = this.#scroll.clientWidth;
		const focused = this.#body.contains(document.activeElement);
		this.classList.toggle("narrow", this.#narrow);
		this.#drawn.clear();
		this.#body.replaceChildren();
		this.#heads();
		this.#draw(true);
		if (focused) this.#drawn.get(this.#active)?.focus({ preventScroll: true });
	}

	get #height() {
		return this.#narrow ? 68 : 38;
	}

	#shown() {
		return this.columns.filter((one) => !one.hide && (one.from || 0) <= this.#scroll.clientWidth);
	}

	#heads() {
		const columns = this.#shown();
		const template = [...(this.choose ? ["36px"] : []), ...columns.map((one) => one.width || "minmax(80px, 1fr)")].join(" ");
		this.#scroll.style.setProperty("--columns", this.#narrow ? "1fr" : template);
		const cells = columns.map((one) => {
			const active = this.order.id === one.id;
			const sort = active ? (this.order.down ? "descending" : "ascending") : "none";
			return h(
				"div",
				{ role: "columnheader", class: one.align || "", "aria-sort": one.sort ? sort : null },
				one.sort ? h("button.plain.sort", { onclick: () => this.#sort(one.id) }, one.title, h("span", { "aria-hidden": "true", class: "arrow" }, active ? (this.order.down ? "▾" : "▴") : "")) : one.title,
			);
		});
		const all = this.choose && h("input", { type: "checkbox", "aria-label": "Select all rows", onchange: (event) => this.#chooseAll(event.target.checked) });
		const row = h("div", { role: "row", "aria-rowindex": "1", class: "table-row" }, all && h("div", { role: "columnheader", class: "choose" }, all), this.#narrow ? h("div", { role: "columnheader" }, this.label) : cells);
		fill(this.#head, row);
	}

	#sort(id) {
		this.order = { id, down: this.order.id === id ? !this.order.down : false };
		this.#heads();
		this.sorted?.(this.order);
	}

	#chooseAll(all) {
		this.chosen = new Set(all ? this.rows.map(this.key) : []);
		this.choose(this.chosen);
		this.draw(true);
	}

	/** Draw the rows that are seen, soon; with `again` those that are drawn already, too. */
	draw(again = false) {
		this.stale ||= again;
		if (this.#wanted || !this.#scroll) return;
		this.#wanted = true;
		requestAnimationFrame(() => {
			this.#wanted = false;
			this.#draw(this.stale);
			this.stale = false;
		});
	}

	#draw(again) {
		const height = this.#height;
		const total = this.rows.length;
		this.#scroll.setAttribute("aria-rowcount", String(total + 1));
		this.#scroll.setAttribute("aria-colcount", String(this.#narrow ? 1 : this.#shown().length + (this.choose ? 1 : 0)));
		this.#space.style.setProperty("height", `${Math.max(total, 1) * height}px`);
		const first = Math.max(0, Math.floor(this.#scroll.scrollTop / height) - MORE);
		const last = Math.min(total, Math.ceil((this.#scroll.scrollTop + this.#scroll.clientHeight) / height) + MORE);
		const focused = this.#body.contains(document.activeElement) && document.activeElement.getAttribute("role") === "row";
		if (this.#active >= total) this.#active = Math.max(0, total - 1);
		for (const [place, element] of this.#drawn) {
			if (place < first || place >= last) {
				element.remove();
				this.#drawn.delete(place);
			}
		}
		for (let place = first; place < last; place++) {
			let element = this.#drawn.get(place);
			if (element && !again) continue;
			if (!element) {
				element = h("div", { role: "row", class: "table-row" });
				element.style.setProperty("top", `${place * height}px`);
				element.setAttribute("aria-rowindex", String(place + 2));
				this.#drawn.set(place, element);
				this.#body.append(element);
			}
			this.#row(element, this.rows[place], place);
		}
		if (last >= total - MORE) this.near?.();
		const none = this.#body.querySelector(".none");
		if (total) none?.remove();
		else if (none) say(none.firstElementChild, this.empty);
		else this.#body.append(h("div", { role: "row", class: "none" }, h("div", { role: "gridcell" }, this.empty)));
		if (focused && !this.#body.contains(document.activeElement)) this.#drawn.get(this.#active)?.focus({ preventScroll: true });
	}

	#row(element, row, place) {
		const id = this.key(row);
		const chosen = this.chosen.has(id);
		element.tabIndex = place === this.#active ? 0 : -1;
		element.dataset.key = id;
		element.classList.toggle("chosen", chosen);
		if (this.choose) element.setAttribute("aria-selected", String(chosen));
		const cells = this.#narrow
			? [h("div", { role: "gridcell", class: "narrow-cell" }, this.narrow(row))]
			: this.#shown().map((one) => h("div", { role: "gridcell", class: one.align || "" }, one.cell(row)));
		if (this.choose) cells.unshift(h("div", { role: "gridcell", class: "choose" }, h("input", { type: "checkbox", tabindex: "-1", checked: chosen, "aria-label": `Select ${id}` })));
		// Cells that say the same stay: what somebody points at or reads is not replaced under the hand.
		if (element.children.length !== cells.length) return void fill(element, cells);
		cells.forEach((cell, number) => {
			const before = element.children[number];
			if (!before.isEqualNode(cell)) before.replaceWith(cell);
			else if (this.choose && number === 0) before.firstElementChild.checked = chosen;
		});
	}

	#place(element) {
		return Number(element.getAttribute("aria-rowindex")) - 2;
	}

	#click(event) {
		const element = event.target.closest("[role=row]");
		if (!element || element.classList.contains("none")) return;
		const place = this.#place(element);
		this.#activate(place, false);
		if (event.target.closest("a, button")) return;
		if (event.target.closest(".choose")) this.#toggle(place);
		else if (this.open && !String(getSelection())) this.open(this.rows[place]);
	}

	#toggle(place) {
		const id = this.key(this.rows[place]);
		if (!this.chosen.delete(id)) this.chosen.add(id);
		this.choose(this.chosen);
		this.draw(true);
	}

	#activate(place, focus = true) {
		const before = this.#drawn.get(this.#active);
		if (before) before.tabIndex = -1;
		this.#active = place;
		const height = this.#height;
		const top = place * height;
		const head = this.#head.offsetHeight;
		const view = this.#scroll;
		if (top < view.scrollTop) view.scrollTop = top;
		else if (top + height + head > view.scrollTop + view.clientHeight) view.scrollTop = top + height + head - view.clientHeight;
		this.#draw(false);
		const element = this.#drawn.get(place);
		if (!element) return;
		element.tabIndex = 0;
		if (focus) element.focus({ preventScroll: true });
	}

	#key(event) {
		if (event.target.closest("input, button, a") || !this.rows.length) return;
		const page = Math.max(1, Math.floor(this.#scroll.clientHeight / this.#height) - 2);
		const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.rows.length, End: this.rows.length };
		if (event.key in steps) this.#activate(Math.min(this.rows.length - 1, Math.max(0, this.#active + steps[event.key])));
		else if (event.key === "Enter" && this.open) this.open(this.rows[this.#active]);
		else if (event.key === " " && this.choose) this.#toggle(this.#active);
		else return;
		event.preventDefault();
	}
}

customElements.define("data-table", DataTable);

/** Sort rows by a column, without changing the array; text as people sort it, what is missing last. */
export function sortedBy(rows, columns, order) {
	const column = columns.find((one) => one.id === order.id);
	if (!column?.sort) return rows;
	const keys = new Map(rows.map((row) => [row, column.sort(row)]));
	const way = order.down ? -1 : 1;
	const missing = (value) => value === null || value === undefined || value === "";
	return [...rows].sort((a, b) => {
		const x = keys.get(a);
		const y = keys.get(b);
		if (missing(x) || missing(y)) return missing(x) - missing(y);
		return way * (typeof x === "number" && typeof y === "number" ? x - y : collator.compare(x, y));
	});
}

const collator = new Intl.Collator(undefined, { numeric: true });
