// One charge point: state, conversation as it passes, commands, configuration, profiles, what deviates.

import { get, path, Problem, send } from "../lib/api.js";
import { attempt, button, confirmed, failure, field, form, toast, waiting } from "../lib/dialog.js";
import { fill, h, icon, Part, say } from "../lib/dom.js";
import { count, energy, since, state, time, timeOfDay, tone, words } from "../lib/format.js";
import { live, Stream } from "../lib/live.js";
import { go, href } from "../lib/router.js";
import "../lib/chart.js";
import { command, ticketLine } from "./command.js";
import { lasted, stateOf } from "./transactions.js";

const ROWS = 400;
const VALUES = 3000;
const AGAIN_MS = 5000;
const KINDS = ["ChargePointOnline", "ChargePointOffline", "StatusChanged", "Booted", "CommandEnded", "TransactionStarted", "TransactionEnded", "SessionRestarted"];

/** Read a frame: {kind, id, action, payload}; null for what is none. */
function read(data) {
	try {
		const frame = JSON.parse(data);
		if (frame[0] === 2) return { kind: "call", id: frame[1], action: frame[2], payload: frame[3] };
		if (frame[0] === 3) return { kind: "result", id: frame[1], payload: frame[2] };
		if (frame[0] === 4) return { kind: "error", id: frame[1], action: frame[2], payload: frame[4], text: frame[3] };
	} catch {
		// shown as it is
	}
	return null;
}

/** A payload in few words: its plain members. */
function brief(payload) {
	return Object.entries(payload || {}).map(([name, value]) => `${name} ${typeof value === "object" && value !== null ? (Array.isArray(value) ? `[${value.length}]` : value.status || "{…}") : value}`).join(", ");
}

class ChargePointView extends Part {
	#one = null;
	#title = h("h1");
	#actions = h("div.actions");
	#facts = h("section.panel", { "aria-label": "Facts" });
	#connectors = h("section.panel", { "aria-label": "Connectors" });
	#odd = h("section.panel", { "aria-label": "What deviates" });
	#transactions = h("section.panel", { "aria-label": "Transactions" });
	#tickets = h("section.panel", { "aria-label": "Commands" });
	#values = h("section.panel", { "aria-label": "Configuration" });
	#profiles = h("section.panel", { "aria-label": "Charging profiles" });
	#rows = [];
	#actionsById = new Map();
	#list = h("ol.frames", { tabindex: "0", "aria-label": "Frames" });
	#filter = "";
	#raw = false;
	#paused = false;
	#restarts = 0;
	#timer = 0;

	get name() {
		return this.parameters.id;
	}

	get #path() {
		return ["charge-points", this.parameters.id];
	}

	start() {
		waiting(this);
		this.until(live.on(KINDS, (kind, event) => event.charge_point === this.parameters.id && this.#take(kind)));
		this.until(live.resync(() => this.#soon()));
		this.until(() => clearTimeout(this.#timer));
		this.every(AGAIN_MS, () => this.#read());
	}

	#take(kind) {
		if (kind === "SessionRestarted") this.#restarts++;
		this.#soon();
	}

	#soon() {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#read(), 150);
	}

	async #read() {
		const first = this.#one === null;
		try {
			this.#one = await get(path(...this.#path));
		} catch (error) {
			if (first) fill(this, h("div.empty", h("h1", this.name), h("p", { role: "alert" }, failure(error)), h("a", { href: href("fleet") }, "To the fleet")));
			return;
		}
		if (!this.isConnected) return;
		if (first) this.#build();
		this.#draw();
		this.#readTransactions();
		this.#readTickets();
	}

	#build() {
		const search = h("input", { type: "search", placeholder: "Filter by action or text…", "aria-label": "Filter frames", oninput: () => {
			this.#filter = search.value.trim().toLowerCase();
			this.#drawFrames();
		} });
		const raw = h("button", { "aria-pressed": "false", onclick: () => {
			this.#raw = !this.#raw;
			raw.setAttribute("aria-pressed", String(this.#raw));
			this.#drawFrames();
		} }, "As frames");
		const pause = h("button", { "aria-pressed": "false", onclick: () => {
			this.#paused = !this.#paused;
			pause.setAttribute("aria-pressed", String(this.#paused));
			if (!this.#paused) this.#drawFrames();
		} }, "Pause");
		const conversation = h("section.panel", { "aria-label": "Conversation" }, h("header", h("h2", "Conversation"), h("div.actions", h("div.search", icon("search"), search), raw, pause, h("a.as-button", { href: `api/v1/${path(...this.#path, "recording")}`, download: `${this.name}.jsonl` }, icon("down"), "Recording"))), this.#list);
		fill(
			this,
			h("header.head", this.#title, this.#actions),
			h("div.beside", h("div.side", this.#connectors, this.#facts, this.#odd), h("div.wide-side", conversation, h("div.panels", this.#transactions, this.#tickets), this.#profiles, this.#values)),
		);
		this.#startFrames();
		this.#drawValues();
		this.#readProfiles();
	}

	// -- State and facts --

	#draw() {
		const one = this.#one;
		fill(this.#title, one.id, " ", one.connected ? state("Online", "good") : state("Offline", "off"), one.registration && one.registration !== "Accepted" && state(one.registration, "wait"), this.#restarts > 0 && h("span.flag", `session restarted ${this.#restarts}×`));
		const written = `${one.connected} ${one.version}`;
		if (this.#actions.dataset.written !== written) {
			this.#actions.dataset.written = written;
			const verb = (text, name, kind = "") => button(text, () => command(one.id, one.version, `verb:${name}`).then(() => this.#soon()), { scope: "command", kind });
			fill(this.#actions, verb("Start…", "start_charging", "primary"), verb("Unlock…", "unlock"), verb("Reset…", "reset"), verb("Command…", "trigger"), !one.connected && button("Forget…", () => this.#forget(), { scope: "admin", kind: "danger" }));
		}
		const fact = (name, ...value) => (value.some((each) => each) ? [h("dt", name), h("dd", value)] : []);
		const boot = one.boot?.chargingStation ? { ...one.boot.chargingStation, reason: one.boot.reason } : one.boot || {};
		fill(
			this.#facts,
			h("h2", "Facts"),
			h("dl.facts",
				fact("OCPP", one.version),
				fact("Connected", one.connected && [time(one.connected_at), h("span.quiet", ` for ${since(one.connected_at)}, from ${one.peer}`)]),
				fact("Left", !one.connected && time(one.disconnected_at)),
				fact("Connection", one.connected && (one.secure ? `TLS ${one.tls?.version || ""}` : "not encrypted")),
				Object.entries(boot).map(([name, value]) => fact(words(name.replace(/^chargePoint|^chargeBox/, "")).replace(/^./, (letter) => letter.toUpperCase()), typeof value === "object" ? JSON.stringify(value) : String(value))),
				fact("Key", one.has_password && [h("a", { href: href("keys", { q: one.id }) }, "has one"), one.new_key_since ? `, a new one waits since ${since(one.new_key_since)}` : ""]),
				fact("Security profile", one.security_profile ? `at least ${one.security_profile}` : "")),
		);
		fill(this.#connectors, h("h2", "Connectors"), one.statuses.length ? h("ul.reasons", one.statuses.map((each) => h("li.connector", h("span.quiet", each.evse || each.connector ? `${each.evse || each.connector}${each.connector > 1 && each.evse ? `.${each.connector}` : ""}` : "all"), one.connected ? state(words(each.status), tone(each.status)) : state(`last ${words(each.status)}`, "off"), h("span.quiet", [each.error_code !== "NoError" && each.error_code, each.info].filter(Boolean).join(" · ")), h("span.quiet.right", time(each.at))))) : h("p.quiet", "It has told of none yet."));
		const odd = [...Object.entries(one.deviations), ...Object.entries(one.ignored).map(([name, times]) => [`ignored: ${name}`, times])].sort((a, b) => b[1] - a[1]);
		this.#odd.hidden = !odd.length;
		fill(this.#odd, h("h2", "What deviates, and how often"), h("table", h("tbody", odd.map(([name, times]) => h("tr", h("td", name), h("td.right", count(times)))))));
	}

	async #forget() {
		if (!(await confirmed(`Forget ${this.name}?`, "Its registration, key and security profile are removed; its transactions stay.", "Forget it"))) return;
		if (await attempt(() => send("DELETE", path(...this.#path)), `${this.name} is forgotten.`)) go("fleet");
	}

	// -- Transactions and commands --

	async #readTransactions() {
		const page = await get("transactions", { charge_point: this.name, limit: 6 }).catch(() => null);
		if (!page) return;
		const all = h("a", { href: href("transactions", { charge_point: this.name }) }, "All");
		fill(this.#transactions, h("header", h("h2", "Transactions"), all), page.transactions.length ? h("ul.reasons", page.transactions.map((each) => h("li.connector", h("a", { href: href(["transactions", each.transaction_id]) }, each.transaction_id), stateOf(each), h("span", energy(each.energy_wh)), h("span.quiet.right", `${each.id_tag} · ${Math.round(lasted(each) / 60)} min`)))) : h("p.quiet", "None yet."));
	}

	async #readTickets() {
		const page = await get("tickets", { charge_point: this.name, limit: 8 }).catch(() => null);
		if (!page) return;
		const written = JSON.stringify(page.tickets);
		if (this.#tickets.dataset.written === written) return;
		this.#tickets.dataset.written = written;
		fill(this.#tickets, h("h2", "Commands"), page.tickets.length ? h("div.reasons", page.tickets.map((ticket) => h("div.ticket", ticketLine(ticket)))) : h("p.quiet", "None was sent."));
	}

	// -- Conversation --

	#startFrames() {
		const stream = new Stream(`${path(...this.#path, "frames")}?after=0/0/`, {
			event: (kind, row) => {
				if (kind !== "frame") return;
				const frame = read(row.data);
				if (frame?.kind === "call") this.#actionsById.set(frame.id, frame.action);
				this.#rows.push({ ...row, frame });
				if (this.#rows.length > ROWS) this.#rows.splice(0, this.#rows.length - ROWS);
				this.#framesSoon();
			},
		});
		this.until(() => stream.close());
	}

	#framesSoon() {
		if (this.#paused || this.drawing) return;
		this.drawing = true;
		requestAnimationFrame(() => {
			this.drawing = false;
			this.#drawFrames();
		});
	}

	#drawFrames() {
		const atEnd = this.#list.scrollTop + this.#list.clientHeight >= this.#list.scrollHeight - 30;
		const open = new Set([...this.#list.querySelectorAll("details[open]")].map((each) => each.dataset.key));
		const shown = this.#rows.filter((row) => !this.#filter || `${row.data} ${this.#actionsById.get(row.frame?.id) || ""}`.toLowerCase().includes(this.#filter));
		fill(this.#list, shown.length ? shown.map((row) => this.#frame(row, open)) : h("li.quiet", "Nothing yet."));
		if (atEnd) this.#list.scrollTop = this.#list.scrollHeight;
	}

	#frame(row, open) {
		const { frame } = row;
		const incoming = row.kind === "in";
		const side = incoming ? "in" : row.kind === "out" || row.kind === "answer" ? "out" : "event";
		const way = h("span.way", { title: side === "event" ? "" : incoming ? "from the charge point" : "to the charge point" }, side === "event" ? "·" : incoming ? "←" : "→");
		const at = time(row.at, timeOfDay(row.at) + row.at.slice(19, 23).replace("Z", ""));
		if (this.#raw || !frame) return h("li", { class: side }, at, way, h("code", side === "event" ? `${row.kind} ${row.data}` : row.data));
		const action = frame.kind === "error" ? `${this.#actionsById.get(frame.id) || ""} ${frame.action}` : frame.action || this.#actionsById.get(frame.id) || "";
		const key = `${row.at}${frame.id}`;
		return h("li", { class: `${side} ${frame.kind}` }, at, way, h("details", { data: { key }, open: open.has(key) }, h("summary", h("strong", action), frame.kind === "result" ? " answered" : "", " ", h("span.quiet", frame.text || brief(frame.payload))), h("pre", JSON.stringify(frame.payload, null, 2))));
	}

	// -- Configuration and variables --

	#drawValues(rows = null, text = "") {
		if (!rows) {
			fill(this.#values, h("header", h("h2", "Configuration"), button("Read it", () => this.#readValues(true), { scope: "command", disabled: !this.#one.connected })), h("p.quiet", text || "It is read from the charge point when it is asked for."));
			if (this.#one.version !== "1.6" && !text) this.#readValues(false);
			return;
		}
		const search = h("input", { type: "search", "aria-label": "Filter configuration", placeholder: "Filter…", oninput: () => draw() });
		const body = h("tbody");
		const draw = () => {
			const wanted = rows.filter((row) => `${row.name} ${row.value}`.toLowerCase().includes(search.value.trim().toLowerCase()));
			fill(body, wanted.slice(0, 300).map((row) => h("tr", h("td", row.name, row.attribute && row.attribute !== "Actual" ? h("span.quiet", ` ${row.attribute}`) : ""), h("td.value", row.value ?? h("span.quiet", "not told"), row.unit && ` ${row.unit}`), h("td.right", row.readonly ? h("span.quiet", "read only") : button("Change…", () => this.#change(row), { scope: "admin", kind: "small" })))));
			say(number, `${count(wanted.length)} of ${count(rows.length)}`);
		};
		const number = h("span.quiet");
		fill(this.#values, h("header", h("h2", "Configuration"), h("div.actions", search, number, button("Read again", () => this.#readValues(true), { scope: "command", disabled: !this.#one.connected }))), h("div.table-wrap.values", { tabindex: "0" }, h("table", body)));
		draw();
	}

	async #readValues(again) {
		try {
			if (this.#one.version === "1.6") {
				const ticket = await send("POST", path(...this.#path, "verbs", "get_configuration"), {}, { wait: "1" });
				this.#drawValues((ticket.response?.configurationKey || []).map((one) => ({ name: one.key, value: one.value, readonly: one.readonly })));
				return;
			}
			if (again) await send("POST", path(...this.#path, "variables", "refresh"));
			const { variables } = await get(path(...this.#path, "variables"), { limit: VALUES });
			if (variables.length || again) this.#drawValues(variables.map((one) => ({ ...one, readonly: one.mutability === "ReadOnly" || one.constant })));
		} catch (error) {
			if (again || !(error instanceof Problem)) toast(failure(error), "bad");
		}
	}

	async #change(row) {
		const saved = await form(row.name, [field("value", "Value", { value: row.value || "", hint: row.values_list ? `One of ${row.values_list}` : [row.data_type, row.min_limit && `from ${row.min_limit}`, row.max_limit && `to ${row.max_limit}`].filter(Boolean).join(" ") })], "Set", async ({ value }) => {
			if (this.#one.version === "1.6") {
				const ticket = await send("POST", path(...this.#path, "verbs", "set_configuration"), { key: row.name, value }, { wait: "1" });
				if (!["Accepted", "RebootRequired"].includes(ticket.response?.status)) throw new Error(`The charge point has answered ${ticket.response?.status || ticket.state}.`);
				toast(ticket.response.status === "RebootRequired" ? "Accepted; it counts after a reset." : "Accepted.");
			} else {
				const answer = await send("POST", path(...this.#path, "variables"), { values: { [row.name]: value }, attribute: row.attribute });
				const result = answer.results[0]?.status;
				if (result !== "Accepted" && result !== "RebootRequired") throw new Error(`The station has answered ${result}.`);
				toast(result === "RebootRequired" ? "Accepted; it counts after a reset." : "Accepted.");
			}
		});
		if (saved) this.#readValues(false);
	}

	// -- Charging profiles --

	async #readProfiles() {
		const page = await get("charging-profiles", { charge_point: this.name, limit: 50 }).catch(() => null);
		this.#profiles.hidden = !page?.charging_profiles.length;
		if (this.#profiles.hidden) return;
		fill(this.#profiles, h("h2", "Charging profiles"), page.charging_profiles.map((one) => {
			const told = one.profile.chargingSchedule;
			const schedule = (Array.isArray(told) ? told[0] : told) || {};
			const from = Date.parse(schedule.startSchedule || one.accepted_at);
			const periods = schedule.chargingSchedulePeriod || [];
			const last = from + (schedule.duration || (periods[periods.length - 1]?.startPeriod || 0) + 3600) * 1000;
			const points = periods.map((each) => [from + each.startPeriod * 1000, each.limit]);
			if (points.length) points.push([last, points[points.length - 1][1]]);
			const chart = h("time-chart");
			chart.label = `Limit of profile ${one.charging_profile_id}`;
			chart.show([{ id: "power", title: `Limit, ${one.profile.chargingProfileKind || ""}`, unit: schedule.chargingRateUnit || "W", series: points.length ? [{ name: "", points, step: true }] : [] }]);
			return h("div", h("p", h("strong", words(one.purpose)), h("span.quiet", ` · number ${one.charging_profile_id}, stack level ${one.stack_level}, connector ${one.connector_id}${one.source ? `, set by ${one.source}` : ""}`)), chart);
		}));
	}
}

customElements.define("charge-point-view", ChargePointView);
