// Supervision: the live tree with restarts and inboxes, plugins with quarantine and shadows, what is busy, crashes, nodes.

import { get, path, send } from "../lib/api.js";
import { attempt, button, confirmed, failure } from "../lib/dialog.js";
import { fill, h, Part } from "../lib/dom.js";
import { count, duration, state, time } from "../lib/format.js";
import { live } from "../lib/live.js";
import { href } from "../lib/router.js";

const LOOK_MS = 3000;
const TONES = { running: "good", starting: "wait", restarting: "wait", backoff: "wait", waiting: "wait", stopped: "away", quarantined: "bad", crashed: "bad", given_up: "bad" };
const toneOf = (word) => TONES[word] || "away";

class SupervisionView extends Part {
	#panels = Object.fromEntries(["Plugins", "Tree", "Busy", "Crashes", "Nodes"].map((name) => [name, h("section.panel", { "aria-label": name })]));
	#problem = h("p.fault", { role: "alert" });
	#written = {};

	start() {
		const { Plugins, Tree, Busy, Crashes, Nodes } = this.#panels;
		this.append(h("h1.visually-hidden", "Supervision"), this.#problem, h("div.panels", Plugins), h("div.panels", Tree, Busy), h("div.panels", Crashes, Nodes));
		this.until(live.on(["SessionRestarted", "PluginQuarantined", "PluginReleased", "NodeJoined", "NodeLeft"], () => this.#read()));
		this.every(LOOK_MS, () => this.#read());
	}

	async #read() {
		try {
			const [tree, activity, { plugins }, { crashes }, health] = await Promise.all([get("supervision"), get("activity"), get("plugins"), get("crashes", { rows: "1" }), get("../../healthz")]);
			const cluster = health.cluster ? await get("cluster").catch(() => null) : null;
			this.#problem.textContent = "";
			this.#draw("Plugins", plugins, () => this.#plugins(plugins));
			this.#draw("Tree", tree, () => [h("h2", "Tree"), h("ul.tree", this.#node(tree))]);
			this.#draw("Busy", activity, () => this.#busy(activity));
			this.#draw("Crashes", crashes, () => this.#crashes(crashes));
			this.#draw("Nodes", [health, cluster, tree.workers], () => this.#nodes(health, cluster, tree.workers));
		} catch (error) {
			this.#problem.textContent = failure(error);
		}
	}

	/** Draw a panel only if what it shows has changed: what somebody has opened stays open. */
	#draw(name, facts, make) {
		const written = JSON.stringify(facts);
		if (this.#written[name] === written) return;
		this.#written[name] = written;
		const panel = this.#panels[name];
		const open = new Set([...panel.querySelectorAll("details[open]")].map((each) => each.dataset.name));
		fill(panel, make());
		for (const each of panel.querySelectorAll("details")) each.open = open.has(each.dataset.name);
	}

	#plugins(plugins) {
		const act = (one, verb, done) => attempt(async () => {
			await send("POST", path("plugins", one.name, verb));
			this.#read();
		}, done);
		const row = (one) => {
			const more = Object.entries(one).filter(([name, value]) => /^shadow_|same|differ|overdue|dropped/.test(name) && value);
			return h("tr",
				h("td", h("strong", one.name), one.class && h("div.quiet", one.class), one.shadow && h("span.flag", "shadow"), more.length > 0 && h("div.quiet", more.map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", "))),
				h("td", one.quarantined ? state("quarantine", "bad") : state(one.state, toneOf(one.state)), one.worker ? h("span.quiet", ` worker ${one.worker}`) : ""),
				h("td.right", count(one.restarts)),
				h("td.right", count(one.inbox)),
				h("td.right", one.spool ? count(one.spool) : ""),
				h("td", one.open_breakers.length > 0 && h("details", { data: { name: `breakers ${one.name}` } }, h("summary", `${count(one.open_breakers.length)} open`), one.open_breakers.slice(0, 100).map((each) => h("div", h("a", { href: href(["charge-points", each.charge_point]) }, each.charge_point), ` ${each.action}`)))),
				h("td.wrap", one.last_crash),
				h("td.right", one.quarantined && button("Release", () => act(one, "release", `${one.name} is back in service.`), { scope: "admin", kind: "primary small" }), one.shadow && button("Promote…", async () => (await confirmed(`Let ${one.name} answer?`, "The shadow answers from now on, in the place of the plugin that answers now.", "Promote", "primary")) && act(one, "promote", `${one.name} answers now.`), { scope: "admin", kind: "small" })));
		};
		return [h("h2", "Plugins"), h("div.table-wrap", { tabindex: "0" }, h("table", h("thead", h("tr", ["Plugin", "State", "Restarts", "Inbox", "Spooled", "Circuit breakers", "Last crash", ""].map((name) => h("th", { scope: "col", class: ["Restarts", "Inbox", "Spooled"].includes(name) ? "right" : null }, name || h("span.visually-hidden", "What can be done"))))), h("tbody", plugins.map(row))))];
	}

	#node(node) {
		const sessions = node.sessions !== undefined && h("span.quiet", `${count(node.connected)} connected of ${count(node.sessions)} sessions`);
		const odd = [...(node.crashed || []), ...(node.given_up || [])];
		return h("li",
			h("span.connector", h("strong", node.id), node.state && state(node.state, toneOf(node.state)), node.strategy && h("span.quiet", node.strategy), sessions, node.restarts > 0 && h("span.flag", `${count(node.restarts)} restarts`), node.inbox > 0 && h("span.flag", `inbox ${count(node.inbox)}`)),
			node.last_crash && h("div.fault", node.last_crash),
			odd.length > 0 && h("ul", odd.slice(0, 50).map((each) => h("li", typeof each === "string" ? h("a", { href: href(["charge-points", each]) }, each) : [h("a", { href: href(["charge-points", each.id || each.charge_point || ""]) }, each.id || each.charge_point), ` ${each.state || ""}`, each.restarts ? h("span.flag", `${count(each.restarts)} restarts`) : "", h("div.fault", each.last_crash || each.error || "")]))),
			node.children?.length > 0 && h("ul", node.children.map((each) => this.#node(each))));
	}

	#busy({ handlers, busiest, inboxes, plugins, workers }) {
		const calls = workers.reduce((sum, one) => sum + Object.values(one.calls).reduce((a, b) => a + b, 0), 0);
		const waiting = plugins.filter((one) => one.inbox || one.running);
		const rows = (list, text) => h("ul.reasons", list.slice(0, 10).map((one) => h("li.connector", one.charge_point ? h("a", { href: href(["charge-points", one.charge_point]) }, one.charge_point) : h("strong", one.plugin), h("span.quiet", text(one)))));
		return [
			h("h2", "Busy"),
			h("p.quiet", `${count(calls)} calls so far, ${count(workers.reduce((sum, one) => sum + one.connected, 0))} charge points connected`),
			handlers.length > 0 && [h("h3", "Handlers that take long"), rows(handlers, (one) => `${one.plugin} ${one.action}, ${one.state} for ${duration(one.seconds)}`)],
			waiting.length > 0 && [h("h3", "Plugins at work"), rows(waiting, (one) => `${count(one.running)} of ${count(one.concurrency)} running, ${count(one.inbox)} wait`)],
			inboxes.length > 0 && [h("h3", "Inboxes"), rows(inboxes, (one) => `${count(one.inbox)} wait${one.paused ? ", reading is paused" : ""}`)],
			busiest.length > 0 && [h("h3", "Charge points"), rows(busiest, (one) => `${one.messages_per_s.toFixed(1)} messages/s${one.paused ? ", reading is paused" : ""}`)],
		];
	}

	#crashes(crashes) {
		return [h("h2", `Crashes of sessions (${count(crashes.length)})`), crashes.length ? h("div.reasons", crashes.slice(0, 50).map((one) => h("details", { data: { name: `${one.charge_point} ${one.time}` } }, h("summary", one.charge_point, " ", time(one.time), " ", h("span.fault", one.error)), h("a", { href: href(["charge-points", one.charge_point]) }, "To the charge point"), h("pre", { tabindex: "0" }, one.traceback), h("pre", { tabindex: "0" }, (one.rows || []).map((row) => `${row.kind} ${row.data}`).join("\n"))))) : h("p.quiet", "None since the start.")];
	}

	#nodes(health, cluster, workers) {
		const list = (of) => h("ul.reasons", of);
		return [
			h("h2", "Health, workers, nodes"),
			h("p", state(health.status, health.status === "ok" ? "good" : "bad"), Object.entries(health.failing || {}).map(([name, why]) => h("span.fault", ` ${name}: ${why.reason || why}`))),
			workers && list(workers.map((one) => h("li.connector", `Worker ${one.worker}`, state(one.state, toneOf(one.state)), h("span.quiet", `process ${one.pid}, ${count(one.restarts)} restarts ${one.last_exit || ""}`)))),
			cluster && [h("p", `This is ${cluster.node}; its lease `, cluster.lease ? state("holds", "good") : state("is lost", "bad")), list((cluster.processes || []).map((one) => h("li.quiet", Object.entries(one).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", "))))],
		];
	}
}

customElements.define("supervision-view", SupervisionView);
