// Elements without a framework: h("button.primary", {onclick: save}, "Save"), h("p.hint", "Saved.").

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an HTML element of a tag with classes. `on…` are listeners, `style` is an object, `data` too; false, null and
 * undefined are left out, and so may be the attributes.
 */
export function h(tag, attributes, ...children) {
	const [name, ...classes] = tag.split(".");
	const element = document.createElement(name);
	if (classes.length) element.className = classes.join(" ");
	if (attributes && Object.getPrototypeOf(attributes) === Object.prototype) set(element, attributes);
	else children.unshift(attributes);
	append(element, children);
	return element;
}

/** Make an SVG element. */
export function svg(tag, attributes, ...children) {
	const element = document.createElementNS(SVG, tag);
	set(element, attributes);
	append(element, children);
	return element;
}

/** Replace all that is in an element. */
export function fill(element, ...children) {
	element.replaceChildren();
	append(element, children);
	return element;
}

function append(element, children) {
	for (const child of children.flat(Infinity)) {
		if (child === null || child === undefined || child === false || child === "") continue;
		element.append(child instanceof Node ? child : String(child));
	}
}

function set(element, attributes) {
	for (const [name, value] of Object.entries(attributes || {})) {
		if (value === false || value === null || value === undefined) continue;
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
		else if (name === "data") Object.assign(element.dataset, value);
		else if (name === "value" || name === "checked" || name === "indeterminate") element[name] = value;
		else element.setAttribute(name, value === true ? "" : value);
	}
}

/** Set the text of an element only if it changes: screen readers and the layout are left alone. */
export function say(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

const PATHS = {
	fleet: "M3 5h7v6H3zM14 5h7v6h-7zM3 15h7v4H3zM14 15h7v4h-7z",
	transactions: "M13 2 4 14h7l-1 8 9-12h-7z",
	tags: "M3 11V3h8l10 10-8 8zM7.5 7.5h.01",
	reservations: "M5 4h14v17H5zM5 9h14M9 2v4M15 2v4",
	keys: "M14 10a5 5 0 1 0-4 4l2 2h2v2h2v2h4v-4z",
	lists: "M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01",
	supervision: "M12 3v6M5 15v-3h14v3M3 15h4v5H3zM10 15h4v5h-4zM17 15h4v5h-4zM9 3h6v4H9z",
	system: "M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01",
	search: "M10.5 17a6.5 6.5 0 1 1 0-13 6.5 6.5 0 0 1 0 13zM15.5 15.5 21 21",
	theme: "M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z",
	out: "M10 4H4v16h6M15 8l4 4-4 4M19 12H9",
	menu: "M4 6h16M4 12h16M4 18h16",
	close: "M5 5l14 14M19 5 5 19",
	down: "M12 4v12M6 11l6 6 6-6M4 21h16",
	up: "M12 20V8M6 13l6-6 6 6M4 3h16",
	warn: "M12 3 2 20h20zM12 10v4M12 17h.01",
};

/** Make an icon, which says nothing to a screen reader. */
export function icon(name) {
	return svg(
		"svg",
		{ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" },
		svg("path", { d: PATHS[name] || "" }),
	);
}

/** Base of every view and element that listens: what `until` gets is called when it leaves the page. */
export class Part extends HTMLElement {
	#ends = [];

	/** Call `end` when this element leaves the page. */
	until(end) {
		this.#ends.push(end);
	}

	/** Call `work` now and every so many milliseconds while the page is seen; a failure is told, and tried again. */
	every(milliseconds, work) {
		const run = () => document.hidden || work();
		const timer = setInterval(run, milliseconds);
		this.until(() => clearInterval(timer));
		run();
	}

	connectedCallback() {
		this.start?.();
	}

	disconnectedCallback() {
		for (const end of this.#ends.splice(0)) end();
	}
}
