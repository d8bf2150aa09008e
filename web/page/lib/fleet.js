// All charge points in memory: read once, page by page, then kept up to date by the stream of events.

import { get, pages } from "./api.js";
import { live } from "./live.js";

const PAGE = 2000;
const AGAIN_MS = 300000;
const MANY = 20;
const MOST = 100; // ids in one address
const KINDS = ["ChargePointOnline", "ChargePointOffline", "StatusChanged", "Booted"];

/** Word and tone of a charge point as a whole, the worst of its connectors first. */
const ORDER = ["faulted", "charging", "occupied", "suspendedev", "suspendedevse", "preparing", "finishing", "reserved", "unavailable", "available"];

/** State of a row as a whole: "Offline", or the word of its connectors that matters most. */
export function stateOf(row) {
	if (!row.connected) return "Offline";
	let best = ORDER.length;
	let word = row.registration && row.registration !== "Accepted" ? row.registration : "Online";
	for (const one of row.connectors) {
		const place = ORDER.indexOf(one.status.toLowerCase());
		if (place >= 0 && place < best) {
			best = place;
			word = one.status;
		}
	}
	return word;
}

class Fleet extends EventTarget {
	rows = new Map();
	loaded = false;
	failure = null;
	#started = false;
	#pending = new Set();
	#timer = 0;
	#told = false;
	#reading = false;

	/** Begin to read; what is there already stays. */
	start() {
		if (this.#started) return;
		this.#started = true;
		live.on(KINDS, (kind, event) => this.#take(kind, event));
		live.resync(() => this.read());
		setInterval(() => document.hidden || this.read(), AGAIN_MS);
		this.read();
	}

	/** Read all charge points again. */
	async read() {
		if (this.#reading) return;
		this.#reading = true;
		const seen = new Set();
		try {
			await pages("charge-points", { stored: true, limit: PAGE }, "charge_points", "after", (rows) => {
				for (const row of rows) {
					seen.add(row.id);
					this.#enter(row);
				}
				this.#changed();
			});
			for (const id of this.rows.keys()) if (!seen.has(id)) this.rows.delete(id);
			this.failure = null;
			this.loaded = true;
		} catch (error) {
			this.failure = error;
		}
		this.#reading = false;
		this.#changed();
	}

	/** Read some rows again: those that are seen, for power, flags and signs of life, of which no event tells. */
	async refresh(ids) {
		if (!ids.length) return;
		const some = ids.slice(0, MOST);
		const answer = await get("charge-points", { stored: true, ids: some.join(","), limit: some.length });
		for (const row of answer.charge_points) this.#enter(row);
		this.#changed();
	}

	#enter(row) {
		row.state = stateOf(row);
		this.rows.set(row.id, row);
	}

	#take(kind, event) {
		const row = this.rows.get(event.charge_point);
		if (row === undefined) {
			this.#later(event.charge_point);
			return;
		}
		row.heard_at = event.at;
		if (kind === "ChargePointOnline") {
			Object.assign(row, { connected: true, connected_at: event.at, version: event.version, peer: event.peer });
			this.#later(row.id);
		} else if (kind === "ChargePointOffline") {
			Object.assign(row, { connected: false, disconnected_at: event.at, power_w: null, node: "" });
		} else if (kind === "StatusChanged") {
			const place = row.connectors.find((one) => one.evse === event.evse && one.connector === event.connector);
			const told = { status: event.status, error: event.error_code, info: event.info, since: event.at };
			if (place) Object.assign(place, told);
			else {
				row.connectors.push({ evse: event.evse, connector: event.connector, ...told });
				row.connectors.sort((a, b) => a.evse - b.evse || a.connector - b.connector);
			}
		} else if (kind === "Booted") {
			Object.assign(row, { vendor: event.vendor, model: event.model, firmware: event.firmware_version });
			this.#later(row.id);
		}
		row.state = stateOf(row);
		this.#changed();
	}

	/** Read a row soon; where many have changed, all of them. */
	#later(id) {
		this.#pending.add(id);
		if (this.#timer) return;
		this.#timer = setTimeout(() => {
			const ids = [...this.#pending];
			this.#pending.clear();
			this.#timer = 0;
			const done = ids.length > MANY ? this.read() : this.refresh(ids);
			done.catch(() => {});
		}, 700);
	}

	/** Tell listeners once a frame. */
	#changed() {
		if (this.#told) return;
		this.#told = true;
		requestAnimationFrame(() => {
			this.#told = false;
			this.dispatchEvent(new Event("change"));
		});
	}
}

export const fleet = new Fleet();
