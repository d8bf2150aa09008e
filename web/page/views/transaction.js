// One transaction: its facts, flags, curves, readings, signed values, dead letters; stopping and closing it.

import { get, login, path, send, withQuery } from "../lib/api.js";
import { attempt, button, confirmed, csv, download, failure, field, form, toast, waiting } from "../lib/dialog.js";
import { fill, h, Part } from "../lib/dom.js";
import { count, duration, energy, longMoment, moment, power, time, words } from "../lib/format.js";
import { Stream } from "../lib/live.js";
import { href } from "../lib/router.js";
import { curves, samples } from "../lib/samples.js";
import "../lib/chart.js";
import { begun, cost, lasted, stateOf } from "./transactions.js";

const READINGS = 2000;
const MOST_READINGS = 10000;
const SHOWN = 300;
const SOURCES = {
	meter_start_stop: "the meter at start and stop, as the charge point sent them",
	register_readings: "the readings of the meter",
	interval_sums: "the sum of the intervals that were read",
	"": "nothing that can be used",
};

class TransactionView extends Part {
	#facts = h("section.panel", { "aria-label": "Facts" });
	#flags = h("section.panel", { "aria-label": "Flags" });
	#chart = h("time-chart");
	#more = h("div");
	#actions = h("div.actions");
	#title = h("h1");
	#one = null;
	#values = [];
	#stream = null;
	#limit = READINGS;

	get name() {
		return `Transaction ${this.parameters.id}`;
	}

	start() {
		waiting(this);
		this.until(() => this.#stream?.close());
		this.#read();
	}

	async #read() {
		try {
			this.#one = await get(path("transactions", this.parameters.id), { limit: this.#limit });
		} catch (error) {
			fill(this, h("div.empty", h("h1", this.name), h("p", { role: "alert" }, failure(error)), h("a", { href: href("transactions") }, "To the transactions")));
			return;
		}
		if (!this.isConnected) return;
		this.#values = [...this.#one.meter_readings, ...this.#one.connector_readings].flatMap((one) => one.values || []);
		if (!this.contains(this.#chart)) {
			fill(
				this,
				h("header.head", this.#title, this.#actions),
				h("div.beside", h("div.side", this.#facts, this.#flags), h("div.wide-side", h("section.panel.chart-panel", { "aria-label": "Curves" }, this.#chart), this.#more)),
			);
		}
		this.#chart.label = `Curves of transaction ${this.#one.transaction_id}`;
		this.#draw();
		if (this.#one.open && !this.#stream) this.#follow();
	}

	/** Follow an open one: each reading is drawn as it comes. */
	#follow() {
		const kinds = "MeterValuesReceived,TransactionUpdated,TransactionEnded,TransactionCorrected";
		this.#stream = new Stream(withQuery("events", { kind: kinds, charge_point: this.#one.charge_point }), {
			opened: (again) => again && this.#read(),
			event: (kind, event) => {
				const number = event.transaction_id ?? event.transaction?.transaction_id;
				if (number !== this.#one.transaction_id) return;
				if (kind === "MeterValuesReceived") {
					this.#values.push(...event.meter_values);
					this.#chart.show(curves(this.#values));
				} else if (kind === "TransactionUpdated") {
					if (event.power_w !== null) this.#one.power_w = event.power_w;
					if (event.charging_state) this.#one.charging_state = event.charging_state;
					this.#head();
					this.#later();
				} else this.#read();
			},
		});
	}

	/** Read the figures again, not at each reading. */
	#later() {
		this.timer ||= setTimeout(() => {
			this.timer = 0;
			if (this.isConnected) this.#read();
		}, 5000);
	}

	#draw() {
		this.#head();
		const one = this.#one;
		const fact = (name, ...value) => (value.some((each) => each || each === 0) ? [h("dt", name), h("dd", value)] : []);
		fill(
			this.#facts,
			h("h2", "Facts"),
			h("dl.facts",
				fact("Charge point", h("a", { href: href(["charge-points", one.charge_point]) }, one.charge_point), h("span.quiet", ` · OCPP ${one.version}`)),
				fact(one.evse_id !== null ? "EVSE" : "Connector", one.evse_id ?? one.connector_id, one.evse_id !== null && one.connector_id !== null ? ` · connector ${one.connector_id}` : ""),
				fact("Tag", one.id_tag && h("a", { href: href("tags", { q: one.id_tag }) }, one.id_tag), h("span.quiet", ` ${[one.id_type, one.verdict].filter(Boolean).join(" · ")}`)),
				fact("Energy", h("strong", energy(one.energy_wh) || "unknown"), h("span.quiet", ` by ${SOURCES[one.energy_source] || one.energy_source}`)),
				fact("By its readings", one.supported_energy_wh !== null && one.supported_energy_wh !== one.energy_wh ? energy(one.supported_energy_wh) : ""),
				fact("Cost", cost(one) && h("strong", cost(one)), one.tariff && h("span.quiet", ` by ${one.tariff}`), one.costs?.[0] && h("ul.quiet", one.costs[0].parts.map((part) => h("li", `${part.quantity} ${part.unit} × ${part.price} = ${part.amount}`)))),
				fact("Peak", power(one.peak_w)),
				fact("Duration", duration(lasted(one))),
				fact("Started", time(begun(one)), one.started_text ? ` sent as “${one.started_text}”` : this.#doubt("started_at")),
				fact("Ended", !one.open && time(one.stopped_at && !one.doubtful_times.includes("stopped_at") ? one.stopped_at : one.stop_received_at), this.#doubt("stopped_at")),
				fact("Meter", one.meter_start !== null ? `${count(one.meter_start)} Wh` : "", one.meter_stop !== null ? ` → ${count(one.meter_stop)} Wh` : ""),
				fact("Reason", words(one.stop_reason)),
				fact("Closed by", one.closed_by, one.note && ` · ${one.note}`),
				fact("Reservation", one.reservation_id),
				fact("Its own id", one.remote_id && h("span.mono", one.remote_id))),
		);
		this.#flags.hidden = !one.flags.length && !one.other_stops.length;
		fill(
			this.#flags,
			h("h2", "What is odd"),
			h("ul.reasons", one.flags.map((flag) => h("li", h("span.flag", flag.code.replaceAll("_", " ")), flag.text))),
			one.other_stops.length > 0 && [h("h2", "Further stops"), h("ul.reasons", one.other_stops.map((stop) => h("li", `${count(stop.meter_stop ?? 0)} Wh, ${stop.stop_reason || "no reason"}, received `, time(stop.stop_received_at))))],
		);
		this.#chart.show(curves(this.#values));
		this.#lists();
	}

	#doubt(name) {
		const one = this.#one;
		const told = name === "started_at" ? one.started_at : one.stopped_at;
		if (one.doubtful_times.includes(name)) return h("span.flag", { title: longMoment(told) }, `its clock says ${moment(told) || "nothing that can be read"}`);
		return "";
	}

	#head() {
		const one = this.#one;
		fill(this.#title, `Transaction ${one.transaction_id} `, stateOf(one), one.open && one.power_w !== undefined ? h("span.quiet", power(one.power_w)) : "");
		const written = `${one.open} ${login.scope}`;
		if (this.#actions.dataset.written === written) return;
		this.#actions.dataset.written = written;
		fill(
			this.#actions,
			one.open && button("Stop charging", () => this.#stop(), { scope: "command", kind: "primary" }),
			one.open && button("Close by hand…", () => this.#close(), { scope: "admin", kind: "danger" }),
			button("Export JSON", () => download(`transaction-${one.transaction_id}.json`, JSON.stringify(this.#one, null, 2), "application/json")),
			button("Export CSV", () => this.#csv()),
		);
	}

	async #stop() {
		const one = this.#one;
		await attempt(async () => {
			const ticket = await send("POST", path("charge-points", one.charge_point, "verbs", "stop_charging"), { transaction_id: one.remote_id || one.transaction_id }, { until_effect: "1", wait: "1" });
			toast(`The charge point has answered: ${ticket.response?.status || ticket.state}${ticket.effect ? `, effect: ${ticket.effect.replaceAll("_", " ")}` : ""}`);
		});
	}

	async #close() {
		const one = this.#one;
		const fields = [
			field("reason", "Reason", { value: "ClosedByHand", required: true, maxlength: 100 }),
			field("meter_stop", "Meter at the end (Wh)", { type: "number", step: "1", hint: one.last_reading ? `The last reading says ${count(one.last_reading.wh)} Wh.` : "Empty: unknown." }),
			field("stopped_at", "Ended at", { type: "datetime-local", hint: "Empty: now." }),
			field("note", "Note", { type: "area", rows: 3, maxlength: 1000 }),
		];
		const saved = await form(`Close transaction ${one.transaction_id}`, fields, "Close it", (values) =>
			send("POST", path("transactions", one.transaction_id, "close"), {
				by: login.name,
				reason: values.reason,
				note: values.note,
				meter_stop: values.meter_stop === "" ? null : Number(values.meter_stop),
				stopped_at: values.stopped_at ? new Date(values.stopped_at).toISOString() : null,
			}),
		{ intro: "For a transaction whose stop will not come. A stop that comes all the same is kept beside these figures." });
		if (!saved) return;
		toast(`Transaction ${one.transaction_id} is closed.`);
		this.#read();
	}

	#csv() {
		const rows = [...samples(this.#values)].map((one) => ({ ...one, at: Number.isFinite(one.at) ? new Date(one.at).toISOString() : "", value: Number.isFinite(one.value) ? one.value : "" }));
		download(`transaction-${this.#one.transaction_id}.csv`, csv(["at", "measurand", "value", "unit", "phase", "location", "context"], rows), "text/csv");
	}

	#lists() {
		const one = this.#one;
		const all = [...samples(this.#values)];
		const signed = all.filter((sample) => sample.signed);
		const rows = all.filter((sample) => Number.isFinite(sample.value));
		const shown = rows.slice(-SHOWN).reverse();
		const flagged = one.meter_readings.filter((reading) => reading.flags.length);
		const open = [...this.#more.querySelectorAll("details[open]")].map((each) => each.dataset.name);
		const part = (name, title, ...content) => h("details.panel", { data: { name }, open: open.includes(name) || (name === "dead" && one.dead_letters.length > 0) }, h("summary", title), content);
		fill(
			this.#more,
			part("readings", `Readings (${count(rows.length)}${one.more_readings ? "+" : ""})`,
				(one.more_readings || one.more_connector_readings) && this.#limit < MOST_READINGS && h("p", h("button", { onclick: () => { this.#limit = MOST_READINGS; this.#read(); } }, "Read more")),
				rows.length > SHOWN && h("p.hint", `The last ${SHOWN} samples; the export has all.`),
				h("div.table-wrap", { tabindex: "0" }, h("table", h("thead", h("tr", ["Time", "Measurand", "Value", "Phase", "Context"].map((name) => h("th", { scope: "col", class: name === "Value" ? "right" : null }, name)))), h("tbody", shown.map((sample) => h("tr", h("td", Number.isFinite(sample.at) ? time(new Date(sample.at).toISOString()) : ""), h("td", sample.measurand), h("td.right", `${count(sample.value)} ${sample.unit}`), h("td", sample.phase), h("td", sample.context))))))),
			signed.length > 0 && part("signed", `Signed values (${count(signed.length)})`, h("ul.reasons", signed.slice(0, SHOWN).map((sample) => h("li", Number.isFinite(sample.at) ? time(new Date(sample.at).toISOString()) : "", " ", [sample.context, sample.signed.signingMethod, sample.signed.encodingMethod].filter(Boolean).join(" · "), h("pre", { tabindex: "0" }, sample.signed.signedMeterData), sample.signed.publicKey && h("pre", { tabindex: "0" }, `Public key: ${sample.signed.publicKey}`))))),
			flagged.length > 0 && part("odd", `Odd readings (${count(flagged.length)})`, h("ul.reasons", flagged.slice(0, SHOWN).map((reading) => h("li", time(reading.received_at), " ", reading.flags.join(" · "))))),
			one.dead_letters.length > 0 && part("dead", `Dead letters (${count(one.dead_letters.length)}${one.more_dead_letters ? "+" : ""})`, h("ul.reasons", one.dead_letters.map((letter) => this.#letter(letter)))),
		);
	}

	#letter(letter) {
		return h(
			"li",
			h("p", h("strong", letter.action), ` of ${letter.charge_point}, `, time(letter.received_at), `: ${letter.why}`),
			h("pre", { tabindex: "0" }, typeof letter.payload === "string" ? letter.payload : JSON.stringify(letter.payload, null, 2)),
			h("p.actions",
				button("Attach to this transaction", () => attempt(async () => {
					await send("POST", path("spool", "dead-letters", letter.number, "reattach"), { transaction_id: this.#one.transaction_id, by: login.name });
					this.#read();
				}, "It is attached."), { scope: "admin" }),
				button("Delete", async () => {
					if (!(await confirmed("Delete the dead letter?", "Its message is lost then; an event says who deleted it.", "Delete"))) return;
					await attempt(async () => {
						await send("DELETE", path("spool", "dead-letters", letter.number), undefined, { by: login.name });
						this.#read();
					}, "It is deleted.");
				}, { scope: "admin", kind: "danger" })),
		);
	}
}

customElements.define("transaction-view", TransactionView);
