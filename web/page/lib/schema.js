// Forms from the API's own description: a field for each member of a JSON schema.

import { get } from "./api.js";
import { field } from "./dialog.js";
import { h } from "./dom.js";

let described = null;

/** Read the description of the API, once. */
export function description() {
	described ||= get("openapi.json").catch((error) => {
		described = null;
		throw error;
	});
	return described;
}

/** Paths of the verbs, which the API describes one by one, by their names. */
async function verbPaths() {
	const { paths } = await description();
	const found = Object.entries(paths).map(([path, item]) => [path.match(/\/verbs\/(\w+)$/)?.[1], item]);
	return new Map(found.filter(([verb]) => verb));
}

/** Schema of a verb's members; null if there is none. */
export async function verbSchema(verb) {
	const body = (await verbPaths()).get(verb)?.post.requestBody.content["application/json"].schema;
	const found = body && plain(body, await description());
	return found?.properties ? found : null;
}

/** All verbs that the API describes. */
export async function verbs() {
	return [...(await verbPaths()).keys()];
}

/** "retry_interval_s" or "retryInterval" as a label: "Retry interval s". */
export function label(name) {
	const text = name.replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
	return text[0].toUpperCase() + text.slice(1);
}

/** Follow `$ref`, and leave out that it may be null. */
function plain(schema, root) {
	let found = schema;
	if (found.$ref) found = { ...root.components.schemas[found.$ref.split("/").pop()], ...without(found, "$ref") };
	const choices = found.anyOf || found.oneOf;
	if (choices) {
		const others = choices.filter((one) => one.type !== "null");
		if (others.length === 1) found = { ...plain(others[0], root), ...without(found, "anyOf", "oneOf"), optional: true };
	}
	if (Array.isArray(found.type)) found = { ...found, type: found.type.find((one) => one !== "null") };
	return found;
}

function without(object, ...names) {
	return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

/** Schema of an action's payload in a version: of "1.6" that called Ocpp16…; null if it has none. */
export async function actionSchema(action, version) {
	const { paths, components } = await description();
	const body = Object.entries(paths).find(([path]) => path.endsWith(`/commands/${action}`))?.[1].post.requestBody;
	const choices = body?.content["application/json"].schema;
	const wanted = `Ocpp${version.replaceAll(".", "")}${action}`;
	const named = (choices?.anyOf || (choices ? [choices] : [])).some((one) => one.$ref?.endsWith(`/${wanted}`));
	return named ? components.schemas[wanted] : null;
}

/** Actions that can be sent to a charge point of a version. */
export async function actions(version) {
	const { paths, components } = await description();
	const found = Object.keys(paths).map((path) => path.match(/\/commands\/(\w+)$/)?.[1]).filter(Boolean);
	return found.filter((action) => components.schemas[`Ocpp${version.replaceAll(".", "")}${action}`]).sort();
}

/**
 * Make the fields of an object's schema; `root` is the whole description, `at` the path before them. Each has `path`,
 * `key`, `fault(text)` and `read()`, which gives undefined for what is left out.
 */
export function fieldsOf(schema, root, at = "") {
	return Object.entries(schema.properties || {}).map(([name, given]) => made(name, given, root, (schema.required || []).includes(name), at ? `${at}.${name}` : name));
}

function made(name, given, root, required, path) {
	const one = plain(given, root);
	const element = one.type === "object" && one.properties ? objectField(name, one, root, required, path) : one.type === "array" && one.items ? listField(name, one, root, required, path) : plainField(name, one, required);
	return Object.assign(element, { path, key: name, inner: element.inner || (() => []) });
}

function plainField(name, one, required) {
	const first = one.default ?? null;
	const options = { required, hint: one.description || "" };
	const none = (text) => ({ value: "", label: first === null || first === "" ? "Not given" : `Default: ${text}` });
	const read = (element, convert) => Object.assign(element, { read: () => (element.control.value.trim() === "" ? undefined : convert(element.control.value)) });
	if (one.type === "boolean") {
		const choices = [{ value: "true", label: "Yes" }, { value: "false", label: "No" }];
		return read(field(name, label(name), { ...options, options: required ? choices : [none(first ? "yes" : "no"), ...choices] }), (value) => value === "true");
	}
	if (one.enum) return read(field(name, label(name), { ...options, options: required ? one.enum : [none(first), ...one.enum] }), (value) => value);
	const placeholder = first === null ? "" : String(first);
	if (one.type === "integer" || one.type === "number") return read(field(name, label(name), { ...options, type: "number", step: one.type === "integer" ? "1" : "any", min: one.minimum, max: one.maximum, placeholder }), Number);
	if (one.type === "string" && one.format === "date-time") return read(field(name, label(name), { ...options, type: "datetime-local" }), (value) => new Date(value).toISOString());
	if (one.type === "string") {
		const long = one.contentMediaType || (one.maxLength || 0) > 500;
		return read(field(name, label(name), { ...options, type: long ? "area" : "text", maxlength: one.maxLength, placeholder }), (value) => value);
	}
	const element = field(name, label(name), { ...options, type: "area", rows: 3, hint: `${options.hint} JSON.`.trim() });
	return read(element, (value) => {
		try {
			return JSON.parse(value);
		} catch (error) {
			element.fault(error.message);
			throw new Error(`${name} is not JSON`);
		}
	});
}

/** Members of an object, in a frame; of one that may be left out they are made when it is opened. */
function objectField(name, schema, root, required, path) {
	let fields = required ? fieldsOf(schema, root, path) : [];
	const wrong = h("p.fault");
	const element = h(required ? "fieldset" : "details", { class: "group" }, h(required ? "legend" : "summary", {}, label(name)), wrong, fields);
	if (!required) {
		element.addEventListener("toggle", () => {
			if (element.open && !fields.length) element.append(...(fields = fieldsOf(schema, root, path)));
		});
	}
	const there = () => required || element.open;
	return Object.assign(element, { control: { name }, fault: (text) => (wrong.textContent = text), read: () => (there() ? membersOf(fields) : undefined), inner: () => fields });
}

/** Items of a list, which can be added and removed. */
function listField(name, schema, root, required, path) {
	const items = [];
	const wrong = h("p.fault");
	const place = h("div");
	const add = () => {
		const item = made(`${name} ${items.length + 1}`, schema.items, root, true, `${path}.${items.length}`);
		items.push(item);
		place.append(item);
	};
	const remove = () => items.pop()?.remove();
	const element = h("fieldset.group", h("legend", label(name)), schema.description && h("p.hint", schema.description), wrong, place, h("p.actions", h("button", { type: "button", class: "small", onclick: add }, `Add ${label(name).toLowerCase()}`), h("button", { type: "button", class: "small", onclick: remove }, "Remove the last")));
	if (required) add();
	return Object.assign(element, { control: { name }, fault: (text) => (wrong.textContent = text), read: () => (items.length ? items.map((item) => item.read()) : undefined), inner: () => items });
}

/** Read fields that `fieldsOf` made; what is empty is left out. Throws where JSON is none, with the fault at its field. */
export function membersOf(fields) {
	return Object.fromEntries(fields.map((one) => [one.key, one.read()]).filter(([, value]) => value !== undefined));
}

/** All fields, those within others too. */
export function allFields(fields) {
	return fields.flatMap((one) => [one, ...allFields(one.inner())]);
}

/** Show violations that the API answered at their fields; returns those that have none. */
export function showViolations(fields, violations) {
	const known = allFields(fields);
	return violations.filter((violation) => {
		const path = violation.path.replaceAll("[", ".").replaceAll("]", "");
		const at = known.find((one) => one.path === path) || known.find((one) => path.startsWith(`${one.path}.`));
		at?.fault(violation.text);
		return !at;
	});
}
