// Dialogs, forms and short messages.

import { login, Problem } from "./api.js";
import { fill, h, icon } from "./dom.js";

const TOAST_MS = 6000;

/** Say something that happened, to eyes and screen readers; `tone` "bad" stays until it is closed. */
export function toast(text, tone = "good") {
	const place = document.querySelector(tone === "bad" ? "#alerts" : "#messages");
	const message = h("div", { class: `toast ${tone}` }, h("span", text), h("button.plain", { "aria-label": "Close", onclick: () => message.remove() }, icon("close")));
	place?.append(message);
	if (tone !== "bad") setTimeout(() => message.remove(), TOAST_MS);
}

/** Words for a failure: those of the API, or that the server is not there. */
export function failure(error) {
	if (error instanceof Problem) return error.title && !error.message.startsWith(error.title) ? `${error.title}: ${error.message}` : error.message;
	if (error instanceof TypeError && /fetch|network|load/i.test(error.message)) return "The server cannot be reached.";
	return error.message || String(error);
}

/** Do something that may fail, and say so. Returns true if it did not. */
export async function attempt(work, done = "") {
	try {
		await work();
		if (done) toast(done);
		return true;
	} catch (error) {
		toast(failure(error), "bad");
		return false;
	}
}

/** Make a button that is off, with the reason, where the token is not for it. */
export function button(text, onclick, { scope = "read", kind = "", title = "", disabled = false } = {}) {
	const may = login.may(scope);
	return h("button", { type: "button", class: kind, onclick, disabled: !may || disabled, title: may ? title : `Your token has the scope ${login.scope}; this needs ${scope}` }, text);
}

/** Open a dialog: `body` are elements. Resolves when it is closed, with its return value. */
export function dialog(title, body, { wide = false } = {}) {
	const element = h(
		"dialog",
		{ "aria-labelledby": "dialog-title", class: wide ? "wide" : null },
		h("header", h("h2", { id: "dialog-title" }, title), h("button.plain", { type: "button", "aria-label": "Close", onclick: () => element.close("") }, icon("close"))),
		body,
	);
	document.body.append(element);
	element.showModal();
	const closed = new Promise((resolve) =>
		element.addEventListener("close", () => {
			element.remove();
			resolve(element.returnValue);
		}),
	);
	return { element, closed, close: (value = "") => element.close(value) };
}

/** Ask before something that cannot be undone. Resolves to true or false. */
export async function confirmed(title, text, verb, kind = "danger") {
	const buttons = h("footer", h("button", { type: "button", onclick: () => one.close("") }, "Cancel"), h("button", { type: "button", class: kind, onclick: () => one.close("yes") }, verb));
	const one = dialog(title, [h("div.dialog-body", text), buttons]);
	return (await one.closed) === "yes";
}

let fieldNumber = 0;

/**
 * Make a field with its label. `options` makes a choice of it, `type` is that of the input; `hint` stands below. The
 * element has `control`, and `fault(text)`, which shows what is wrong.
 */
export function field(name, label, { type = "text", value = "", options = null, hint = "", required = false, ...more } = {}) {
	const id = `field-${++fieldNumber}`;
	const base = { id, name, required, "aria-describedby": `${id}-hint ${id}-fault`, ...more };
	const control = options
		? h("select", base, options.map((one) => h("option", { value: one.value ?? one }, one.label ?? one)))
		: h(type === "area" ? "textarea" : "input", { ...base, ...(type === "area" ? { rows: more.rows || 6 } : { type }), autocomplete: "off", spellcheck: "false" });
	if (type === "checkbox") control.checked = Boolean(value);
	else if (!options || value) control.value = value ?? "";
	const wrong = h("p.fault", { id: `${id}-fault` });
	const note = h("p.hint", { id: `${id}-hint` }, hint);
	const caption = h("label", { for: id }, label);
	const element = h("div", { class: `field ${type === "checkbox" ? "check" : ""}` }, type === "checkbox" ? [control, caption] : [caption, control], hint && note, wrong);
	element.control = control;
	element.fault = (text) => {
		wrong.textContent = text;
		control.toggleAttribute("aria-invalid", Boolean(text));
		if (text) control.setAttribute("aria-invalid", "true");
	};
	return element;
}

/**
 * Open a dialog with a form. `save(values)` gets the values by name; where it throws a `Problem` the text is shown, at
 * its field if it begins with the field's name. Resolves to true when it was saved.
 */
export async function form(title, fields, verb, save, { intro = "", wide = false } = {}) {
	const problem = h("p.fault", { role: "alert" });
	const submit = h("button.primary", verb);
	const element = h(
		"form",
		{
			novalidate: true,
			onsubmit: async (event) => {
				event.preventDefault();
				problem.textContent = "";
				for (const one of fields) one.fault?.("");
				const missing = fields.filter((one) => one.control?.required && !one.control.value.trim());
				if (missing.length) {
					for (const one of missing) one.fault("is needed");
					missing[0].control.focus();
					return;
				}
				submit.disabled = true;
				try {
					await save(valuesOf(fields));
					one.close("saved");
				} catch (error) {
					showFault(fields, error, problem);
				} finally {
					submit.disabled = false;
				}
			},
		},
		h("div.dialog-body", intro && h("p.intro", intro), fields, problem),
		h("footer", h("button", { type: "button", onclick: () => one.close("") }, "Cancel"), submit),
	);
	const one = dialog(title, element, { wide });
	element.querySelector(".field input, .field select, .field textarea")?.focus();
	return (await one.closed) === "saved";
}

/** Values of fields by name. */
export function valuesOf(fields) {
	const named = fields.filter((one) => one.control);
	return Object.fromEntries(named.map(({ control }) => [control.name, control.type === "checkbox" ? control.checked : control.value.trim()]));
}

/** Show a failure at the field that it names, else below. */
export function showFault(fields, error, place) {
	const text = failure(error);
	const message = error instanceof Problem ? error.message : "";
	const at = fields.find((one) => one.control && message.startsWith(`${one.control.name}:`));
	if (at) {
		at.fault(message.slice(at.control.name.length + 1).trim());
		at.control.focus();
	} else place.textContent = text;
}

/** Give the browser a file that the page has made. */
export function download(name, text, type) {
	const address = URL.createObjectURL(new Blob([text], { type }));
	h("a", { href: address, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Write rows as CSV; texts that a spreadsheet would take for a formula are marked. */
export function csv(names, rows) {
	const cell = (value) => {
		let text = value === null || value === undefined ? "" : String(value);
		if (/^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text)) text = `'${text}`;
		return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
	};
	return [names, ...rows.map((row) => names.map((name) => row[name]))].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** Read CSV with a head line; returns rows by name, and the names. */
export function readCsv(text) {
	const rows = [[""]];
	let quoted = false;
	for (let at = 0; at < text.length; at++) {
		const row = rows[rows.length - 1];
		const char = text[at];
		if (quoted && char === '"' && text[at + 1] === '"') row[row.length - 1] += text[++at];
		else if (char === '"') quoted = !quoted;
		else if (char === "," && !quoted) row.push("");
		else if (char === "\n" && !quoted) rows.push([""]);
		else if (char !== "\r" || quoted) row[row.length - 1] += char;
	}
	const [names, ...lines] = rows.filter((row) => row.length > 1 || row[0].trim());
	const heads = (names || []).map((name) => name.replace(/^\ufeff/, "").trim());
	return { names: heads, rows: lines.map((row) => Object.fromEntries(heads.map((name, number) => [name, (row[number] || "").trim()]))) };
}

/** Show that something is being read, or could not be. */
export function waiting(element, text = "Reading…") {
	fill(element, h("p.waiting", { role: "status" }, text));
}
