// The frame of the page: login, navigation, the view of the address, theme, state of the stream.

import { login, logIn, logOut, whoIsIt } from "./lib/api.js";
import { failure, field, toast } from "./lib/dialog.js";
import { fill, h, icon, say } from "./lib/dom.js";
import { live } from "./lib/live.js";
import { go, href, match, place } from "./lib/router.js";
import { views } from "./views.js";

const THEMES = ["auto", "light", "dark"];
const WORDS = { live: "Live", waiting: "Connecting…", ended: "Logged out" };

let current = null; // {view, parameters, element}

// -- Theme --

function theme(wanted) {
	const chosen = THEMES.includes(wanted) ? wanted : "auto";
	document.documentElement.dataset.theme = chosen;
	try {
		localStorage.setItem("theme", chosen);
	} catch {
		// a browser that keeps nothing: the choice lasts as long as the page
	}
	return chosen;
}

function stored() {
	try {
		return localStorage.getItem("theme");
	} catch {
		return null;
	}
}

theme(stored());

// -- Login --

function showLogin(text = "") {
	live.stop();
	current = null;
	document.title = "Log in · chargehand";
	const token = field("token", "Token", { type: "password", hint: "The file “token” in the server’s data folder, or one made by “chargehand tokens add”.", required: true });
	const problem = h("p.fault", { role: "alert" }, text);
	const submit = h("button.primary", "Log in");
	const form = h(
		"form",
		{
			class: "login-form",
			onsubmit: async (event) => {
				event.preventDefault();
				problem.textContent = "";
				submit.disabled = true;
				try {
					await logIn(token.control.value.trim());
					showFrame();
				} catch (error) {
					problem.textContent = failure(error);
					token.control.select();
				} finally {
					submit.disabled = false;
				}
			},
		},
		h("div.brand", h("img", { src: "page/icon.svg", alt: "", width: "36", height: "36" }), h("h1", "chargehand")),
		token,
		problem,
		submit,
	);
	fill(document.body, h("main.login", form));
	token.control.focus();
}

login.ended = () => {
	if (!document.querySelector(".login")) showLogin("Your login has ended.");
};

// -- Frame --

function showFrame() {
	const listed = views.filter((view) => view.title && view.icon);
	const nav = h(
		"nav",
		{ id: "nav", "aria-label": "Views" },
		h("a.brand", { href: href("fleet") }, h("img", { src: "page/icon.svg", alt: "", width: "26", height: "26" }), h("span", "chargehand")),
		h("ul", listed.map((view) => h("li", h("a", { href: href(view.path), data: { path: view.path } }, icon(view.icon), h("span", view.title))))),
	);
	const stream = h("span", { id: "stream", class: "stream", role: "status" });
	const themes = h("button", {
		class: "plain",
		onclick: () => {
			const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
			nameTheme(themes, theme(next));
		},
	}, icon("theme"));
	nameTheme(themes, document.documentElement.dataset.theme);
	const menu = h("button.plain.menu", { "aria-label": "Menu", "aria-expanded": "false", "aria-controls": "nav", onclick: () => toggleMenu() }, icon("menu"));
	const who = login.login
		? [h("span.who", { title: `Scope: ${login.scope}` }, login.name, " · ", login.scope), h("button.plain", { "aria-label": "Log out", title: "Log out", onclick: leave }, icon("out"))]
		: [h("span.who", "open")];
	fill(
		document.body,
		h("a.skip", { href: "#main", onclick: (event) => { event.preventDefault(); document.querySelector("main").focus(); } }, "Skip to the content"),
		h("div.frame", nav, h("div.page", h("header.top", menu, h("p", { id: "where" }), h("div.top-right", stream, who, themes)), h("main", { id: "main", tabindex: "0" }))),
		h("div", { id: "messages", class: "toasts", role: "status", "aria-live": "polite" }),
		h("div", { id: "alerts", class: "toasts", role: "alert" }),
	);
	showStream();
	show();
	listen();
}

// -- What everybody should see, wherever they are; so the stream is open on every view --

let told = "";
let ending = null;

function listen() {
	ending?.();
	ending = live.on(["AlertRaised", "PluginQuarantined"], (kind, event) => {
		const name = event.id || `${event.at} ${event.plugin}`;
		if (name === told) return;
		told = name;
		if (kind === "PluginQuarantined") toast(`The plugin ${event.plugin} is in quarantine: ${event.reason}`, "bad");
		else toast([event.charge_point, event.subject, event.text].filter(Boolean).join(": "), "bad");
	});
}

function nameTheme(button, chosen) {
	button.setAttribute("aria-label", `Theme: ${chosen}`);
	button.title = `Theme: ${chosen}`;
}

function toggleMenu(open) {
	const shown = document.querySelector(".frame").classList.toggle("menu-open", open);
	document.querySelector(".menu").setAttribute("aria-expanded", String(shown));
}

async function leave() {
	try {
		await logOut();
		showLogin();
	} catch (error) {
		toast(failure(error), "bad");
	}
}

function showStream() {
	const element = document.querySelector("#stream");
	if (!element) return;
	element.className = `stream ${live.state}`;
	say(element, WORDS[live.state]);
}
live.addEventListener("state", showStream);

// -- View of the address --

async function show() {
	const main = document.querySelector("#main");
	if (!main) return;
	const { segments, query } = place();
	if (!segments.length) {
		history.replaceState(null, "", href("fleet"));
		return show();
	}
	const found = match(views, segments);
	const same = current && found && current.view === found.view && JSON.stringify(current.parameters) === JSON.stringify(found.parameters);
	if (same && current.element?.moved) {
		current.element.moved(query);
		return;
	}
	if (!found) {
		current = null;
		name("Not found");
		fill(main, h("div.empty", h("h1", "There is no such view"), h("p", h("a", { href: href("fleet") }, "To the fleet"))));
		return;
	}
	const wanted = (current = { view: found.view, parameters: found.parameters, element: null });
	try {
		await found.view.load();
	} catch (error) {
		console.error(error);
		toast(`The view cannot be loaded: ${failure(error)}`, "bad");
		return;
	}
	if (current !== wanted) return;
	const element = document.createElement(found.view.element);
	Object.assign(element, { parameters: found.parameters, query });
	wanted.element = element;
	const first = !main.firstElementChild;
	fill(main, element);
	const title = element.name || found.view.title || "";
	name(title);
	toggleMenu(false);
	if (!first) main.focus({ preventScroll: true });
	for (const link of document.querySelectorAll("#nav a[data-path]")) {
		const here = segments[0] === link.dataset.path;
		link.toggleAttribute("aria-current", here);
		if (here) link.setAttribute("aria-current", "page");
	}
}

function name(title) {
	document.title = `${title} · chargehand`;
	say(document.querySelector("#where"), title);
}

addEventListener("hashchange", show);
addEventListener("keydown", (event) => {
	if (event.key === "Escape") document.querySelector(".menu-open") && toggleMenu(false);
	if (event.key === "/" && !event.target.closest("input, textarea, select") && !document.querySelector("dialog")) {
		const search = document.querySelector("main input[type=search]");
		if (search) {
			event.preventDefault();
			search.focus();
		}
	}
});

async function begin() {
	try {
		await whoIsIt();
	} catch (error) {
		fill(document.body, h("main.login", h("p", { role: "alert" }, failure(error)), h("button.primary", { onclick: begin }, "Try again")));
		return;
	}
	if (login.name) showFrame();
	else showLogin();
}

begin();

export { go };
