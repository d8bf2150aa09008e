// Reservations that charge points have accepted; new ones, and cancelling.

import { get, path, send } from "../lib/api.js";
import { attempt, button, confirmed, csv, download, field, form, toast } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { state, time, words } from "../lib/format.js";
import { ListView } from "../lib/list.js";
import { href } from "../lib/router.js";

const TONES = { active: "held", accepted: "held", used: "good", expired: "away", cancelled: "away" };
const NAMES = ["reservation_id", "charge_point", "connector_id", "id_tag", "id_type", "connector_type", "parent", "state", "expiry", "accepted_at", "transaction_id"];
const MOST = 10000;

const stateOf = (one) => state(words(one.state), TONES[one.state.toLowerCase()] || "held");
const over = (one) => ["used", "expired", "cancelled"].includes(one.state.toLowerCase());

class ReservationsView extends ListView {
	title = "Reservations";
	empty = "No charge point has accepted a reservation.";
	key = (one) => `${one.reservation_id} ${one.charge_point}`;
	columns = [
		{ id: "accepted", title: "Accepted", width: "120px", sort: (one) => -Date.parse(one.accepted_at), cell: (one) => time(one.accepted_at) },
		{ id: "state", title: "State", width: "110px", sort: (one) => one.state, cell: stateOf },
		{ id: "cp", title: "Charge point", width: "minmax(130px, 1.2fr)", sort: (one) => one.charge_point, cell: (one) => [h("a", { href: href(["charge-points", one.charge_point]), tabindex: "-1" }, one.charge_point), h("span.quiet", one.connector_id ? ` · ${one.connector_id}` : "")] },
		{ id: "tag", title: "Tag", width: "minmax(90px, 1fr)", sort: (one) => one.id_tag, cell: (one) => one.id_tag },
		{ id: "expiry", title: "Until", width: "120px", sort: (one) => Date.parse(one.expiry), cell: (one) => time(one.expiry) },
		{ id: "number", title: "Number", from: 760, width: "100px", sort: (one) => one.reservation_id, cell: (one) => one.reservation_id },
		{ id: "used", title: "Transaction", from: 860, width: "110px", sort: (one) => one.transaction_id, cell: (one) => one.transaction_id && h("a", { href: href(["transactions", one.transaction_id]), tabindex: "-1" }, one.transaction_id) },
		{ id: "more", title: "", width: "90px", align: "right", cell: (one) => (over(one) ? "" : button("Cancel", () => this.#cancel(one), { scope: "command", kind: "small" })) },
	];
	text = (one) => `${one.charge_point} ${one.id_tag} ${one.state} ${one.reservation_id}`;
	narrow = (one) => [
		h("div.line", h("span.strong", one.charge_point, one.connector_id ? ` · ${one.connector_id}` : ""), over(one) ? "" : button("Cancel", () => this.#cancel(one), { scope: "command", kind: "small" })),
		h("div.line", stateOf(one), h("span.quiet.right", `${one.id_tag} until `, time(one.expiry))),
	];

	read = async () => (await get("reservations", { limit: MOST })).reservations;

	tools() {
		return [button("Reserve…", () => this.#reserve(), { scope: "command", kind: "primary" }), button("Export CSV", () => download("reservations.csv", csv(NAMES, this.rows), "text/csv"))];
	}

	async #reserve() {
		const soon = new Date(Date.now() + 3600000 - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 16);
		const fields = [
			field("charge_point", "Charge point", { required: true, value: this.query.charge_point || "" }),
			field("evse", "Connector or EVSE", { type: "number", min: 1, step: 1, hint: "Empty: any of the charge point." }),
			field("id_tag", "Tag", { required: true, maxlength: 36 }),
			field("until", "Until", { type: "datetime-local", value: soon, required: true }),
			field("parent_id_tag", "Parent", { maxlength: 36, hint: "Tags of this parent may use it, too." }),
		];
		const saved = await form("New reservation", fields, "Reserve", async (values) => {
			const members = { id_tag: values.id_tag, until: new Date(values.until).toISOString(), parent_id_tag: values.parent_id_tag };
			if (values.evse) members.evse = Number(values.evse);
			const ticket = await send("POST", path("charge-points", values.charge_point, "verbs", "reserve"), members, { wait: "1" });
			if (ticket.response && ticket.response.status !== "Accepted") throw new Error(`The charge point has answered ${ticket.response.status}.`);
		});
		if (!saved) return;
		toast("The charge point has accepted the reservation.");
		this.again();
	}

	async #cancel(one) {
		if (!(await confirmed("Cancel the reservation?", `Of ${one.id_tag} at ${one.charge_point}.`, "Cancel it"))) return;
		await attempt(async () => {
			const ticket = await send("POST", path("charge-points", one.charge_point, "verbs", "cancel_reservation"), { reservation_id: one.reservation_id }, { wait: "1" });
			toast(`The charge point has answered ${ticket.response?.status || ticket.state}.`);
			await this.again();
		});
	}
}

customElements.define("reservations-view", ReservationsView);
