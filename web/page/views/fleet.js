// Fleet: every charge point, live; search and filters are in the address; commands to many.

import { login } from "../lib/api.js";
import { button } from "../lib/dialog.js";
import { fill, h, icon, Part, say } from "../lib/dom.js";
import { fleet } from "../lib/fleet.js";
import { count, power, since, state, time, tone, words } from "../lib/format.js";
import { go, href, setQuery } from "../lib/router.js";
import { sortedBy } from "../lib/table.js";
import { bulk } from "./bulk.js";

const SEEN_MS = 5000;
const GROUPS = [
	["Faulted", "bad"],
	["Charging", "busy"],
	["Waiting", "wait"],
	["Reserved", "held"],
	["Available", "good"],
	["Unavailable", "away"],
	["Online", "away"],
	["Offline", "off"],
];
const FLAGS = {
	deviations: ["Deviations", "Messages of it depart from the specification"],
	ignored: ["Ignored frames", "Frames of it were no OCPP and were not answered"],
	paused: ["Paused", "It sends faster than it may; reading from it is paused"],
	breaker_open: ["Breaker open", "A plugin failed for it too often and is not asked at the moment"],
};

/** Group of a row in the summary and the filter. */
function groupOf(row) {
	const kind = row.connected ? tone(row.state) : "off";
	if (kind === "away") return row.state === "Unavailable" ? "Unavailable" : "Online";
	return GROUPS.find((one) => one[1] === kind)[0];
}

function connectors(row) {
	if (!row.connected) return state("Offline", "off");
	const shown = row.connectors.filter((one) => one.connector || one.evse || one.status !== "Available");
	if (!shown.length) return state(row.registration === "Accepted" || !row.registration ? "Online" : row.registration, row.registration === "Accepted" ? "away" : "wait");
	return h(
		"span",
		{ class: "states" },
		shown.map((one) => {
			const number = one.evse && one.connector > 1 ? `${one.evse}.${one.connector}` : one.evse || one.connector || "all";
			const error = one.error && one.error !== "NoError" ? one.error : "";
			const title = [error, one.info].filter(Boolean).join(" · ");
			const named = h("span.number", `${number} `);
			const made = state(words(error && one.status === "Faulted" ? `Faulted: ${error}` : one.status), tone(one.status), title);
			if (shown.length > 1 || !one.connector) made.prepend(named);
			return made;
		}),
	);
}

function flags(row) {
	return row.flags.map((flag) => h("span.flag", { title: (FLAGS[flag] || [flag, flag])[1] }, (FLAGS[flag] || [flag])[0]));
}

const COLUMNS = [
	{ id: "id", title: "Charge point", width: "minmax(130px, 1.1fr)", sort: (row) => row.id, cell: (row) => h("a", { href: href(["charge-points", row.id]), tabindex: "-1" }, row.id) },
	{ id: "state", title: "Connectors", width: "minmax(190px, 2fr)", sort: (row) => GROUPS.findIndex((one) => one[0] === groupOf(row)), cell: connectors },
	{ id: "power", title: "Power", width: "84px", align: "right", sort: (row) => row.power_w, cell: (row) => power(row.power_w) },
	{ id: "model", title: "Model", from: 720, width: "minmax(110px, 1fr)", sort: (row) => `${row.vendor} ${row.model}`, cell: (row) => h("span", { title: `${row.vendor} ${row.model}`.trim() }, row.model || row.vendor, row.model && row.vendor ? h("span.quiet", ` ${row.vendor}`) : "") },
	{ id: "firmware", title: "Firmware", from: 1100, width: "minmax(80px, .6fr)", sort: (row) => row.firmware, cell: (row) => h("span", { title: row.firmware }, row.firmware) },
	{ id: "version", title: "OCPP", from: 860, width: "64px", sort: (row) => row.version, cell: (row) => row.version || "" },
	{ id: "node", title: "Node", from: 900, width: "minmax(70px, .6fr)", sort: (row) => row.node, cell: (row) => h("span", { title: row.node }, row.worker !== null ? `worker ${row.worker}` : row.node) },
	{ id: "since", title: "Connected", width: "100px", sort: (row) => (row.connected_at ? -Date.parse(row.connected_at) : null), cell: (row) => (row.connected ? time(row.connected_at, since(row.connected_at)) : row.disconnected_at ? h("span.quiet", time(row.disconnected_at, `left ${since(row.disconnected_at)}`)) : "") },
	{ id: "heard", title: "Heard", from: 960, width: "80px", sort: (row) => (row.heard_at ? -Date.parse(row.heard_at) : null), cell: (row) => time(row.heard_at, since(row.heard_at)) },
	{ id: "flags", title: "Flags", from: 780, width: "minmax(90px, .8fr)", sort: (row) => (row.flags.length ? -row.flags.length : null), cell: flags },
];

function narrow(row) {
	return [
		h("div.line", h("a", { href: href(["charge-points", row.id]), tabindex: "-1", class: "strong" }, row.id), h("span.right", power(row.power_w))),
		h("div.line", connectors(row), h("span.quiet.right", row.model || (row.version ? `OCPP ${row.version}` : ""))),
	];
}

class FleetView extends Part {
	#table = h("data-table");
	#summary = h("div.summary", { role: "group", "aria-label": "Filter by state" });
	#count = h("p.count", { role: "status" });
	#chosen = h("div.chosen-bar", { role: "group", "aria-label": "Selected charge points" });
	#search;
	#selects = {};
	#options = "";
	#shown = [];

	start() {
		const table = this.#table;
		Object.assign(table, {
			columns: COLUMNS,
			label: "Charge points",
			empty: "No charge point yet.",
			open: (row) => go(["charge-points", row.id]),
			narrow,
			choose: login.may("command") ? () => this.#bar() : null,
			order: { id: this.query.sort || "id", down: this.query.down === "1" },
			sorted: (order) => {
				this.#set({ sort: order.id === "id" && !order.down ? "" : order.id, down: order.down ? "1" : "" });
			},
		});
		this.#search = h("input", { type: "search", placeholder: "Search id, model, firmware…", "aria-label": "Search charge points", value: this.query.q || "", oninput: () => this.#set({ q: this.#search.value.trim() }) });
		const select = (name, label) => (this.#selects[name] = h("select", { "aria-label": label, onchange: (event) => this.#set({ [name]: event.target.value }) }));
		this.append(
			h("h1.visually-hidden", "Fleet"),
			h("div.bar", h("div.search", icon("search"), this.#search), select("version", "Version of OCPP"), select("model", "Model"), select("flag", "Flags"), this.#count),
			this.#summary,
			this.#chosen,
			table,
		);
		const change = () => this.#draw();
		fleet.addEventListener("change", change);
		this.until(() => fleet.removeEventListener("change", change));
		fleet.start();
		this.every(SEEN_MS, () => fleet.refresh(table.seen()).catch(() => {}));
		this.#draw();
	}

	/** Take the query of an address that was entered by hand, or of the way back. */
	moved(query) {
		this.query = query;
		if (this.#search.value.trim() !== (query.q || "")) this.#search.value = query.q || "";
		this.#draw();
	}

	#set(changes) {
		Object.assign(this.query, changes);
		setQuery(changes);
		this.#draw();
	}

	#matches(row) {
		const { q, version, model, flag } = this.query;
		if (version && row.version !== version) return false;
		if (model && row.model !== model) return false;
		if (flag && !(flag === "any" ? row.flags.length : row.flags.includes(flag))) return false;
		if (!q) return true;
		const text = `${row.id}\n${row.name}\n${row.vendor}\n${row.model}\n${row.firmware}\n${row.serial_numbers.join("\n")}\n${row.node}`.toLowerCase();
		return q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
	}

	#draw() {
		const all = [...fleet.rows.values()];
		const found = all.filter((row) => this.#matches(row));
		const groups = Object.fromEntries(GROUPS.map(([name]) => [name, 0]));
		let watts = 0;
		const node = COLUMNS.find((one) => one.id === "node");
		const alone = !all.some((row) => row.node || row.worker !== null);
		if (alone !== Boolean(node.hide)) {
			node.hide = alone;
			this.#table.again();
		}
		for (const row of found) {
			groups[groupOf(row)]++;
			watts += row.power_w || 0;
		}
		const chosen = this.query.state || "";
		const wanted = chosen ? found.filter((row) => groupOf(row) === chosen) : found;
		this.#shown = sortedBy(wanted, COLUMNS, { id: this.query.sort || "id", down: this.query.down === "1" });
		this.#table.empty = fleet.failure ? `The charge points cannot be read: ${fleet.failure.message}` : !fleet.loaded ? "Reading…" : all.length ? "No charge point matches." : "No charge point yet. Have one connect, or try: chargehand simulate CP1";
		this.#table.show(this.#shown);
		this.#chips(groups, chosen, watts);
		this.#choices(all);
		say(this.#count, wanted.length === all.length ? `${count(all.length)} charge points` : `${count(wanted.length)} of ${count(all.length)}`);
		this.#bar();
	}

	#chips(groups, chosen, watts) {
		const chips = GROUPS.filter(([name]) => groups[name] || name === chosen).map(([name, kind]) =>
			h("button", { class: `chip ${kind}`, "aria-pressed": String(name === chosen), data: { group: name }, onclick: () => this.#set({ state: this.query.state === name ? "" : name }) }, h("span.chip-count", count(groups[name])), ` ${name}`),
		);
		const total = h("span.total", watts ? [h("strong", power(watts)), " now"] : "");
		const same = [...this.#summary.children].length === chips.length + 1;
		if (!same) fill(this.#summary, chips, total);
		else [...chips, total].forEach((one, number) => this.#summary.children[number].isEqualNode(one) || this.#replace(this.#summary.children[number], one));
	}

	#replace(before, after) {
		const focused = before === document.activeElement;
		before.replaceWith(after);
		if (focused) after.focus();
	}

	#choices(all) {
		const values = (of) => [...new Set(all.map(of).filter(Boolean))].sort();
		const lists = { version: ["All versions", ...values((row) => row.version)], model: ["All models", ...values((row) => row.model)], flag: ["All flags", "any", ...Object.keys(FLAGS)] };
		const written = JSON.stringify([lists, this.query.version, this.query.model, this.query.flag]);
		if (written === this.#options) return;
		this.#options = written;
		for (const [name, [first, ...others]] of Object.entries(lists)) {
			const value = this.query[name] || "";
			if (value && !others.includes(value)) others.push(value);
			const text = (one) => (name === "version" ? `OCPP ${one}` : name === "flag" ? (one === "any" ? "With any flag" : (FLAGS[one] || [one])[0]) : one);
			fill(this.#selects[name], h("option", { value: "" }, first), others.map((one) => h("option", { value: one }, text(one))));
			this.#selects[name].value = value;
		}
	}

	#bar() {
		const ids = [...this.#table.chosen].filter((id) => fleet.rows.has(id));
		this.#chosen.hidden = !ids.length;
		if (!ids.length || this.#chosen.dataset.count === String(ids.length)) {
			if (!ids.length) delete this.#chosen.dataset.count;
			return;
		}
		this.#chosen.dataset.count = String(ids.length);
		fill(
			this.#chosen,
			h("span", `${count(ids.length)} selected`),
			button("Send a command…", () => bulk([...this.#table.chosen].filter((id) => fleet.rows.has(id))), { scope: "command", kind: "primary" }),
			h("button", {
				onclick: () => {
					this.#table.chosen.clear();
					this.#table.draw(true);
					this.#bar();
				},
			}, "Clear"),
		);
	}
}

customElements.define("fleet-view", FleetView);
