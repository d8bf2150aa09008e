// Tags: who may charge. Forms, CSV in and out.

import { get, path, send } from "../lib/api.js";
import { attempt, button, confirmed, csv, dialog, download, failure, field, form, readCsv, toast } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { count, state, time } from "../lib/format.js";
import { ListView } from "../lib/list.js";
import { href } from "../lib/router.js";

const STATUSES = ["Accepted", "Blocked", "Expired", "Invalid", "NoCredit", "NotAllowedTypeEVSE", "NotAtThisLocation", "NotAtThisTime", "Unknown"];
const TYPES = ["", "Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress"];
const NAMES = ["id_tag", "id_type", "status", "expiry", "parent", "language", "message"];

function status(tag) {
	const over = tag.status === "Accepted" && tag.expiry && Date.parse(tag.expiry) <= Date.now();
	return over ? state("Expired", "wait") : state(tag.status, tag.status === "Accepted" ? "good" : "bad");
}

class TagsView extends ListView {
	title = "Tags";
	empty = "No tag is known. An unknown tag is answered as back_office.unknown_tags says.";
	key = (tag) => `${tag.id_tag}\n${tag.id_type}`;
	columns = [
		{ id: "id_tag", title: "Tag", width: "minmax(140px, 1.4fr)", sort: (tag) => tag.id_tag, cell: (tag) => tag.id_tag },
		{ id: "status", title: "Status", width: "150px", sort: (tag) => tag.status, cell: status },
		{ id: "type", title: "Type", from: 700, width: "100px", sort: (tag) => tag.id_type, cell: (tag) => tag.id_type || h("span.quiet", "any") },
		{ id: "expiry", title: "Valid until", width: "130px", sort: (tag) => (tag.expiry ? Date.parse(tag.expiry) : null), cell: (tag) => time(tag.expiry) },
		{ id: "parent", title: "Parent", width: "minmax(90px, 1fr)", sort: (tag) => tag.parent, cell: (tag) => tag.parent },
		{ id: "message", title: "Message", from: 900, width: "minmax(90px, 1.4fr)", sort: (tag) => tag.message, cell: (tag) => tag.message },
		{ id: "more", title: "", width: "110px", align: "right", cell: (tag) => h("a", { href: href("transactions", { id_tag: tag.id_tag }), tabindex: "-1" }, "Transactions") },
	];
	text = (tag) => `${tag.id_tag} ${tag.id_type} ${tag.status} ${tag.parent} ${tag.message}`;
	narrow = (tag) => [
		h("div.line", h("span.strong", tag.id_tag), h("span.quiet.right", tag.id_type)),
		h("div.line", status(tag), h("span.quiet.right", tag.parent, tag.expiry ? [" until ", time(tag.expiry)] : "")),
	];

	read = async () => (await get("tags")).tags;
	open = (tag) => this.#edit(tag);

	tools() {
		return [
			button("Add…", () => this.#edit(null), { scope: "admin", kind: "primary" }),
			button("Import CSV…", () => this.#import(), { scope: "admin" }),
			button("Export CSV", () => download("tags.csv", csv(NAMES, this.rows), "text/csv")),
		];
	}

	async #edit(tag) {
		const local = tag?.expiry ? new Date(Date.parse(tag.expiry) - new Date(tag.expiry).getTimezoneOffset() * 60000).toISOString().slice(0, 16) : "";
		const id = field("id_tag", "Tag", { value: tag?.id_tag || "", required: true, maxlength: 36 });
		const type = field("id_type", "Type", { value: tag?.id_type || "", options: TYPES.map((value) => ({ value, label: value || "any" })), hint: "OCPP 1.6 has no types." });
		for (const one of [id, type]) one.control.disabled = tag !== null;
		const fields = [
			id,
			type,
			field("status", "Status", { value: tag?.status || "Accepted", options: STATUSES }),
			field("expiry", "Valid until", { type: "datetime-local", value: local, hint: "Empty: for ever." }),
			field("parent", "Parent", { value: tag?.parent || "", maxlength: 36, hint: "Tags of one parent may stop each other’s transactions." }),
			field("message", "Message for the display", { value: tag?.message || "", maxlength: 512 }),
		];
		if (tag) fields.push(button("Remove this tag…", () => this.#remove(tag), { scope: "admin", kind: "danger" }));
		const saved = await form(tag ? tag.id_tag : "New tag", fields, "Save", (values) =>
			send("PUT", path("tags", values.id_tag), { status: values.status, expiry: values.expiry ? new Date(values.expiry).toISOString() : null, parent: values.parent, language: tag?.language || "", message: values.message }, { id_type: values.id_type }),
		);
		if (saved) this.again();
	}

	async #remove(tag) {
		if (!(await confirmed(`Remove ${tag.id_tag}?`, "It is unknown then, which may mean that it is accepted. To refuse it, set its status to Blocked.", "Remove"))) return;
		await attempt(async () => {
			await send("DELETE", path("tags", tag.id_tag), undefined, { id_type: tag.id_type });
			for (const one of document.querySelectorAll("dialog")) one.close();
			await this.again();
		}, `${tag.id_tag} is removed.`);
	}

	async #import() {
		const faults = h("div", { role: "alert" });
		const file = h("input", { type: "file", accept: ".csv,text/csv", "aria-label": "File of tags" });
		const submit = h("button.primary", { disabled: true }, "Import");
		const line = h("p", { role: "status" });
		let tags = [];
		const read = async () => {
			fill(faults);
			submit.disabled = true;
			if (!file.files.length) return;
			const { name } = file.files[0];
			const { names, rows } = readCsv(await file.files[0].text());
			file.value = ""; // the same file, mended, can be chosen again
			const unknown = names.filter((name) => !NAMES.includes(name));
			if (!names.includes("id_tag") || unknown.length) {
				fill(faults, h("p.fault", unknown.length ? `There is no column ${unknown.join(", ")}; known are ${NAMES.join(", ")}.` : "The first line must name the columns, id_tag among them."));
				return;
			}
			tags = rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name, value]) => value !== "" || name === "id_tag")));
			try {
				await send("POST", "tags", { tags }, { check: "1" });
				line.textContent = `${name}: ${count(tags.length)} tags, all of them right.`;
				submit.disabled = false;
			} catch (error) {
				line.textContent = "";
				fill(faults, h("p.fault", failure(error)), h("ul.reasons", (error.body?.rows || []).map((row) => h("li.fault", `Row ${row.row}: ${row.text}`))));
			}
		};
		file.addEventListener("change", () => attempt(read));
		submit.addEventListener("click", () =>
			attempt(async () => {
				const done = await send("POST", "tags", { tags });
				one.close();
				toast(`${count(done.entered)} tags are entered.`);
				await this.again();
			}),
		);
		const one = dialog("Import tags", [h("div.dialog-body", h("p.intro", `A CSV file with the columns ${NAMES.join(", ")}; only id_tag is needed. Tags that are there already are changed; all rows are entered, or none.`), file, line, faults), h("footer", submit)], { wide: true });
	}
}

customElements.define("tags-view", TagsView);
