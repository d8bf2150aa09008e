// Keys of charge points: who has one, which new ones wait to be used, new ones; and applicants that wait for a person.

import { get, path, send } from "../lib/api.js";
import { attempt, button, confirmed, csv, download, field, form, toast } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { since, state, time } from "../lib/format.js";
import { ListView } from "../lib/list.js";
import { href } from "../lib/router.js";

const NAMES = ["charge_point", "changed_at", "new_key_since"];

const stateOf = (one) => (one.new_key_since ? state(`New key not used for ${since(one.new_key_since)}`, "wait") : state("In use", "good"));

class KeysView extends ListView {
	title = "Keys";
	empty = "No key is in the store.";
	key = (one) => one.charge_point;
	columns = [
		{ id: "cp", title: "Charge point", width: "minmax(140px, 1fr)", sort: (one) => one.charge_point, cell: (one) => h("a", { href: href(["charge-points", one.charge_point]), tabindex: "-1" }, one.charge_point) },
		{ id: "state", title: "State", width: "minmax(190px, 1fr)", sort: (one) => one.new_key_since || "", cell: stateOf },
		{ id: "changed", title: "Since", width: "130px", sort: (one) => Date.parse(one.changed_at), cell: (one) => time(one.changed_at) },
		{ id: "more", title: "", width: "170px", align: "right", cell: (one) => this.#buttons(one) },
	];
	text = (one) => one.charge_point;
	narrow = (one) => [h("div.line", h("span.strong", one.charge_point), this.#buttons(one)), h("div.line", stateOf(one), time(one.changed_at))];
	#applicants = h("section.panel.applicants", { "aria-label": "Applicants", hidden: true });

	read = async () => {
		const [{ keys }] = await Promise.all([get("keys"), this.#readApplicants()]);
		return keys;
	};

	above() {
		return [this.#applicants];
	}

	tools() {
		return [button("Set a key…", () => this.#set(), { scope: "admin", kind: "primary" }), button("Export CSV", () => download("keys.csv", csv(NAMES, this.rows), "text/csv"))];
	}

	#buttons(one) {
		return h("span.actions", button("Rotate", () => this.#rotate(one), { scope: "admin", kind: "small", title: "Send it a new key; the one before counts until it has come back with the new one" }), button("Remove", () => this.#remove(one), { scope: "admin", kind: "small danger" }));
	}

	async #set() {
		const fields = [field("charge_point", "Charge point", { required: true }), field("password", "Key", { type: "password", required: true, maxlength: 256, hint: "A text, or its bytes behind hex: or base64:. It counts for the next connection, and is never shown." })];
		const saved = await form("Key of a charge point", fields, "Save", (values) => send("PUT", path("charge-points", values.charge_point, "password"), { password: values.password }));
		if (!saved) return;
		toast("The key is set.");
		this.again();
	}

	async #rotate(one) {
		await attempt(async () => {
			const ticket = await send("POST", path("charge-points", one.charge_point, "verbs", "rotate_key"), {}, { wait: "1" });
			toast(`The charge point has answered ${ticket.response?.status || ticket.state}.`);
			await this.again();
		});
	}

	async #remove(one) {
		if (!(await confirmed(`Remove the key of ${one.charge_point}?`, "It is let in without one then, where the settings allow that.", "Remove"))) return;
		await attempt(async () => {
			await send("DELETE", path("charge-points", one.charge_point, "password"));
			await this.again();
		}, "The key is removed.");
	}

	async #readApplicants() {
		const { applicants } = await get("applicants");
		this.#applicants.hidden = !applicants.length;
		const decide = (one, word) => attempt(async () => {
			await send("POST", path("applicants", one.charge_point, word));
			await this.again();
		}, word === "approve" ? `${one.charge_point} is approved.` : `${one.charge_point} is rejected.`);
		fill(this.#applicants, h("h2", "Applicants"), h("ul.reasons", applicants.map((one) => h("li.applicant",
			h("span", h("strong", one.charge_point), h("span.quiet", ` from ${one.peer}, first seen `, time(one.first_seen_at), one.connected ? ", connected" : "")),
			h("span.actions", button("Approve", () => decide(one, "approve"), { scope: "admin", kind: "primary small" }), button("Reject", () => decide(one, "reject"), { scope: "admin", kind: "danger small" }))))));
	}
}

customElements.define("keys-view", KeysView);
