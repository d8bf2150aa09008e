// Transactions: filters in the address, page after page as one scrolls, live; export as CSV.

import { get } from "../lib/api.js";
import { attempt, button, csv, download, failure } from "../lib/dialog.js";
import { h, icon, Part, say } from "../lib/dom.js";
import { count, duration, energy, state, time } from "../lib/format.js";
import { live } from "../lib/live.js";
import { go, href, setQuery } from "../lib/router.js";
import "../lib/table.js";

const PAGE = 200;
const MOST = 100000;
const AGAIN_MS = 10000;
const COLUMNS_OF_CSV = ["transaction_id", "charge_point", "connector_id", "evse_id", "id_tag", "started_at", "start_received_at", "stopped_at", "stop_received_at", "meter_start", "meter_stop", "energy_wh", "energy_source", "supported_energy_wh", "cost", "currency", "tariff", "stop_reason", "closed_by", "note", "open", "orphaned", "version", "remote_id", "flags"];

/** Cost of a transaction, computed by the plugin of prices; "" without one. Its decimals stay as they are. */
export const cost = (one) => (one.cost === null || one.cost === undefined ? "" : `${one.cost} ${one.currency}`);

/** State of a transaction. */
export function stateOf(one) {
	if (one.orphaned) return state("Orphaned", "bad", "It is open, and cannot be going on");
	if (!one.open) return state(one.closed_by ? "Closed by hand" : "Ended", "away", one.closed_by ? `by ${one.closed_by}` : one.stop_reason);
	return state(one.charging_state && one.charging_state !== "Charging" ? one.charging_state.replace(/([a-z])([A-Z])/g, "$1 $2") : "Charging", one.charging_state && one.charging_state !== "Charging" ? "wait" : "busy");
}

/** Time when it began: by its charge point, or by ours if that cannot be true. */
export const begun = (one) => (one.started_at && !one.doubtful_times.includes("started_at") ? one.started_at : one.start_received_at);

/** Seconds that a transaction has taken so far. */
export function lasted(one) {
	const told = one.stopped_at && !one.doubtful_times.includes("stopped_at") ? one.stopped_at : one.stop_received_at;
	return ((one.open ? Date.now() : Date.parse(told)) - Date.parse(begun(one))) / 1000;
}

export function flagsOf(one) {
	return one.flags.map((flag) => h("span.flag", { title: flag.text }, flag.code.replaceAll("_", " ")));
}

const place = (one) => one.evse_id ?? one.connector_id;

const COLUMNS = [
	{ id: "id", title: "Number", width: "76px", cell: (one) => h("a", { href: href(["transactions", one.transaction_id]), tabindex: "-1" }, one.transaction_id) },
	{ id: "state", title: "State", width: "130px", cell: stateOf },
	{ id: "cp", title: "Charge point", width: "minmax(130px, 1.2fr)", cell: (one) => [h("a", { href: href(["charge-points", one.charge_point]), tabindex: "-1" }, one.charge_point), h("span.quiet", ` · ${place(one)}`)] },
	{ id: "tag", title: "Tag", width: "minmax(90px, 1fr)", cell: (one) => h("span", { title: one.id_tag }, one.id_tag) },
	{ id: "started", title: "Started", width: "112px", cell: (one) => time(begun(one)) },
	{ id: "duration", title: "Duration", width: "92px", align: "right", cell: (one) => duration(lasted(one)) },
	{ id: "energy", title: "Energy", width: "96px", align: "right", cell: (one) => h("span", { title: one.energy_source.replaceAll("_", " ") }, energy(one.energy_wh)) },
	{ id: "cost", title: "Cost", width: "84px", align: "right", cell: (one) => h("span", { title: one.tariff }, cost(one)) },
	{ id: "reason", title: "Reason", from: 900, width: "minmax(70px, .7fr)", cell: (one) => h("span", { title: one.stop_reason }, one.stop_reason) },
	{ id: "flags", title: "Flags", from: 760, width: "minmax(90px, 1.4fr)", cell: flagsOf },
];

function narrow(one) {
	return [
		h("div.line", h("span", h("a", { href: href(["transactions", one.transaction_id]), tabindex: "-1", class: "strong" }, `${one.transaction_id}`), ` ${one.charge_point} · ${place(one)}`), h("strong.right", energy(one.energy_wh))),
		h("div.line", stateOf(one), h("span.quiet.right", time(begun(one)), ` · ${duration(lasted(one))}`)),
	];
}

class TransactionsView extends Part {
	#table = h("data-table");
	#count = h("p.count", { role: "status" });
	#rows = [];
	#next = null;
	#reading = null;
	#inputs = {};
	#timer = 0;

	start() {
		Object.assign(this.#table, {
			columns: COLUMNS,
			key: (one) => one.transaction_id,
			label: "Transactions",
			empty: "Reading…",
			open: (one) => go(["transactions", one.transaction_id]),
			near: () => this.#more(),
			narrow,
		});
		const input = (name, label, more) => (this.#inputs[name] = h("input", { "aria-label": label, placeholder: label, value: this.query[name] || "", oninput: (event) => this.#later({ [name]: event.target.value.trim() }), ...more }));
		const show = (this.#inputs.show = h("select", { "aria-label": "Which", onchange: (event) => this.#set({ show: event.target.value }) }, [["", "All"], ["open", "Open"], ["flagged", "Flagged"], ["orphans", "Orphaned"]].map(([value, text]) => h("option", { value }, text))));
		show.value = this.query.show || "";
		const day = (name, label) => h("label.day", label, input(name, label, { type: "date", oninput: undefined, onchange: (event) => this.#set({ [name]: event.target.value }) }));
		this.append(
			h("h1.visually-hidden", "Transactions"),
			h("div.bar",
				h("div.search", icon("search"), input("charge_point", "Charge point", { type: "search" })), input("id_tag", "Tag", { type: "search" }), show, day("since", "From"), day("until", "To"), this.#count,
				button("Export CSV", () => this.#export())),
			this.#table,
		);
		this.until(live.on(["TransactionStarted", "TransactionEnded", "TransactionCorrected"], (_, event) => this.#take(event.transaction)));
		this.until(live.resync(() => this.#read()));
		this.every(AGAIN_MS, () => this.#rows.some((one) => one.open) && this.#table.scroll < 200 && this.#refresh());
		this.#read();
	}

	moved(query) {
		this.query = query;
		for (const [name, element] of Object.entries(this.#inputs)) if (element.value.trim() !== (query[name] || "")) element.value = query[name] || "";
		this.#read();
	}

	#later(changes) {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#set(changes), 250);
	}

	#set(changes) {
		Object.assign(this.query, changes);
		setQuery(changes);
		this.#read();
	}

	#asked() {
		const { charge_point, id_tag, show, since, until } = this.query;
		const day = (text, more) => (text ? new Date(new Date(`${text}T00:00`).getTime() + more).toISOString() : "");
		return { charge_point, id_tag, [show || "open"]: show ? "1" : "", since: day(since, 0), until: day(until, 86400000) };
	}

	async #read() {
		const reading = (this.#reading = {});
		try {
			const page = await get("transactions", { ...this.#asked(), limit: PAGE });
			if (this.#reading !== reading) return;
			this.#rows = page.transactions;
			this.#next = page.more ? page.next : null;
			this.#table.empty = "No transaction.";
		} catch (error) {
			if (this.#reading !== reading) return;
			this.#rows = [];
			this.#next = null;
			this.#table.empty = failure(error);
		}
		this.#reading = null;
		this.#show();
	}

	async #more() {
		if (this.#next === null || this.#reading) return;
		const reading = (this.#reading = {});
		try {
			const page = await get("transactions", { ...this.#asked(), limit: PAGE, before: this.#next });
			if (this.#reading !== reading) return;
			this.#enter(page.transactions);
			this.#next = page.more ? page.next : null;
		} catch {
			// what is there stays; scrolling asks again
		} finally {
			if (this.#reading === reading) this.#reading = null;
		}
		this.#show();
	}

	/** Read the newest again: the energy of open ones grows without an event. */
	async #refresh() {
		const page = await get("transactions", { ...this.#asked(), limit: 50 }).catch(() => null);
		if (!page || this.#reading) return;
		this.#enter(page.transactions);
		this.#show();
	}

	#enter(rows) {
		const known = new Map(this.#rows.map((one) => [one.transaction_id, one]));
		for (const one of rows) known.set(one.transaction_id, one);
		this.#rows = [...known.values()].sort((a, b) => (a.start_received_at < b.start_received_at ? 1 : a.start_received_at > b.start_received_at ? -1 : b.transaction_id - a.transaction_id));
	}

	#take(one) {
		const { charge_point, id_tag, show, since, until } = this.query;
		const known = this.#rows.some((row) => row.transaction_id === one.transaction_id);
		const fits = (!charge_point || one.charge_point === charge_point) && (!id_tag || one.id_tag.toLowerCase() === id_tag.toLowerCase()) && !since && !until && (!show || (show === "open" && one.open) || (show === "flagged" && one.flags.length) || (show === "orphans" && one.orphaned));
		if (fits) this.#enter([one]);
		else if (known && show) this.#rows = this.#rows.filter((row) => row.transaction_id !== one.transaction_id);
		else if (known) this.#enter([one]);
		else return;
		this.#show();
	}

	#show() {
		const column = COLUMNS.find((one) => one.id === "cost");
		const hide = !this.#rows.some((one) => cost(one));
		if (hide !== Boolean(column.hide)) {
			column.hide = hide;
			this.#table.again();
		}
		this.#table.show(this.#rows);
		say(this.#count, `${count(this.#rows.length)}${this.#next === null ? "" : "+"} transactions`);
	}

	async #export() {
		await attempt(async () => {
			const rows = [];
			let before = "";
			do {
				const page = await get("transactions", { ...this.#asked(), limit: 1000, before });
				rows.push(...page.transactions.map((one) => ({ ...one, flags: one.flags.map((flag) => flag.code).join(" ") })));
				before = page.more ? page.next : "";
			} while (before && rows.length < MOST);
			download("transactions.csv", csv(COLUMNS_OF_CSV, rows), "text/csv");
		});
	}
}

customElements.define("transactions-view", TransactionsView);

