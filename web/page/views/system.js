// System: health, rates, limits that were hit, consumers of events, dead letters, tokens, certificates, security events,
// what was changed over HTTP, settings.

import { get, login, path, send } from "../lib/api.js";
import { attempt, button, confirmed, dialog, failure, field, form } from "../lib/dialog.js";
import { fill, h, Part } from "../lib/dom.js";
import { count, energy, state, time } from "../lib/format.js";
import { live } from "../lib/live.js";
import { metrics, sum } from "../lib/metrics.js";
import { href } from "../lib/router.js";

const LOOK_MS = 10000;
const CHANGES = 50;
const DAY_MS = 86400000;
const DAY_S = 86400;
const SOON_DAYS = 30;
const KINDS = 5;
const MIB = 1048576;
const J_PER_WH = 3600;

class SystemView extends Part {
	#parts = ["Health", "Rates", "Limits that were hit", "Consumers of events", "Spool", "Tokens", "Certificates", "Security events", "Changes", "Settings"];
	#panels = Object.fromEntries(this.#parts.map((name) => [name, h("section.panel", { "aria-label": name })]));
	#before = null;

	start() {
		this.append(h("h1.visually-hidden", "System"), h("div.panels", this.#parts.map((name) => this.#panels[name])));
		for (const name of ["Tokens", "Changes", "Settings"]) this.#panels[name].hidden = !login.may("admin");
		this.until(live.on(["HttpChangeMade"], () => login.may("admin") && this.#changes()));
		this.every(LOOK_MS, () => this.#read());
	}

	#read() {
		this.#part("Health", "../../healthz", (health) => this.#health(health));
		this.#part("Spool", "spool?limit=50", (spool) => this.#spool(spool));
		metrics().then((of) => this.#numbers(of), (error) => fill(this.#panels.Rates, h("h2", "Rates"), h("p.fault", failure(error))));
		if (login.may("admin")) {
			this.#part("Tokens", "tokens", ({ tokens }) => this.#tokens(tokens));
			this.#part("Settings", "settings", ({ settings }) => this.#settings(settings));
			this.#changes();
		}
		this.#part("Certificates", "tls", ({ certificates }) => this.#certificates(certificates));
		this.#part("Security events", "security-events?limit=30", (page) => this.#security(Object.values(page).find(Array.isArray) || []));
	}

	async #part(name, address, draw) {
		const panel = this.#panels[name];
		try {
			const facts = await get(address);
			const written = JSON.stringify(facts);
			if (panel.dataset.written === written) return;
			panel.dataset.written = written;
			fill(panel, draw(facts));
		} catch (error) {
			fill(panel, h("h2", name), h("p.fault", failure(error)));
			delete panel.dataset.written;
		}
	}

	/** Do something, and read again. */
	async #act(work, done) {
		await attempt(work, done);
		this.#read();
	}

	#health(health) {
		const failing = Object.entries(health.failing || {});
		return [h("h2", "Health"), h("p", state(health.status, health.status === "ok" ? "good" : "bad"), ` ${count(health.connected)} charge points connected`), h("ul.reasons", failing.map(([name, why]) => h("li.fault", `${name}: ${why.reason || why}`))), h("p.actions", h("a", { href: "docs", class: "as-button" }, "The HTTP API"), h("a", { href: href("supervision"), class: "as-button" }, "Supervision"))];
	}

	#spool({ waiting, dead_letters, dead_events, more }) {
		const letter = (one) => h("li", h("p", h("strong", one.action), " of ", h("a", { href: href(["charge-points", one.charge_point]) }, one.charge_point), one.transaction_id ? [", transaction ", h("a", { href: href(["transactions", one.transaction_id]) }, one.transaction_id)] : "", ", ", time(one.received_at)), h("p.fault", one.why), h("p.actions",
			button("Retry", () => this.#act(() => send("POST", path("spool", one.number, "retry"))), { scope: "admin", kind: "small" }),
			button("Delete", async () => (await confirmed("Delete the dead letter?", "Its message is lost then.", "Delete")) && this.#act(() => send("DELETE", path("spool", "dead-letters", one.number), undefined, { by: login.name })), { scope: "admin", kind: "small danger" })));
		const event = (one) => h("li", h("p", h("strong", one.kind), ` for ${one.consumer}, `, time(one.failed_at)), h("p.fault", one.why), h("p.actions",
			button("Retry", () => this.#act(() => send("POST", path("spool", "dead-events", one.number, "retry"))), { scope: "admin", kind: "small" }),
			button("Delete", () => this.#act(() => send("DELETE", path("spool", "dead-events", one.number))), { scope: "admin", kind: "small danger" })));
		return [
			h("header", h("h2", "Spool and dead letters"), dead_letters.length > 0 && button("Retry all", () => this.#act(() => send("POST", "spool/retry")), { scope: "admin", kind: "small" })),
			h("p.quiet", `${count(waiting.length)} wait for a plugin, ${count(dead_letters.length)}${more ? "+" : ""} dead letters, ${count(dead_events.length)} dead events`),
			h("ul.reasons", dead_letters.map(letter), dead_events.map(event)),
		];
	}

	#tokens(tokens) {
		return [
			h("header", h("h2", "Tokens"), button("Add…", () => this.#addToken(), { scope: "admin", kind: "small primary" })),
			h("ul.reasons", tokens.map((one) => h("li.connector", h("strong", one.name), h("span", one.scope), one.expired ? state("ended", "bad") : h("span.quiet", one.expires_at ? ["until ", time(one.expires_at)] : "without end"), h("span.right", button("Revoke", async () => (await confirmed(`Revoke ${one.name}?`, "It counts for no further request, and its logins end.", "Revoke")) && this.#act(() => send("DELETE", path("tokens", one.name))), { scope: "admin", kind: "small danger" }))))),
		];
	}

	async #addToken() {
		let made = "";
		const saved = await form("New token", [field("name", "Name", { required: true, maxlength: 64 }), field("scope", "Scope", { options: ["read", "command", "admin"] }), field("expires_at", "Valid until", { type: "datetime-local", hint: "Empty: until it is revoked." })], "Make it", async (values) => {
			made = (await send("POST", "tokens", { name: values.name, scope: values.scope, expires_at: values.expires_at ? new Date(values.expires_at).toISOString() : null })).token;
		});
		if (!saved) return;
		dialog("The new token", h("div.dialog-body", h("p.intro", "It is shown this once:"), h("pre", { tabindex: "0", class: "mono" }, made)));
		this.#read();
	}

	#certificates(certificates) {
		return [h("h2", "Certificates in use"), certificates.length ? h("ul.reasons", certificates.map((one) => {
			const ends = one.not_after || one.expires_at;
			const left = ends ? Date.parse(ends) - Date.now() : Infinity;
			return h("li", h("strong", one.file || one.subject || ""), one.file && one.subject ? h("div.quiet", one.subject) : "", " ", ends ? [state(left < 0 ? "ran out" : left < 30 * DAY_MS ? "runs out soon" : "valid", left < 0 ? "bad" : left < 30 * DAY_MS ? "wait" : "good"), " until ", time(ends)] : "");
		})) : h("p.quiet", "TLS is not in use.")];
	}

	#security(events) {
		return [h("h2", "Security events"), events.length ? h("ul.reasons.values", { tabindex: "0" }, events.map((one) => h("li", time(one.at || one.received_at || one.timestamp), " ", h("strong", one.type || one.kind || ""), ` ${one.charge_point || one.peer || ""} `, h("span.quiet", one.info || "")))) : h("p.quiet", "None.")];
	}

	#changes() {
		this.#part("Changes", `changes?limit=${CHANGES}`, ({ changes }) => [h("h2", "Changes over HTTP"), h("ul.reasons.values", { tabindex: "0" }, changes.map((one) => h("li", time(one.at), " ", h("strong", one.token), ` ${one.method} `, h("span.mono", one.path), ` ${one.status} `, h("span.quiet", one.address))))]);
	}

	#settings(settings) {
		const rows = Object.entries(settings).map(([name, value]) => h("tr", h("td.mono", name), h("td.mono", typeof value === "string" ? value : JSON.stringify(value))));
		return [h("h2", "Settings"), h("p.hint", "Without their secrets."), h("div.table-wrap.values", { tabindex: "0" }, h("table", h("tbody", rows)))];
	}

	/** Show the size of the store, its growth, and when the disk is full. */
	#size(of, fact) {
		const size = of("chargehand_store_bytes")[0];
		if (!size) return [];
		const mib = (bytes) => `${count(Math.round(bytes / MIB))} MiB`;
		const kinds = of("chargehand_store_kind_bytes").sort((one, other) => other.value - one.value).slice(0, KINDS);
		const growth = of("chargehand_store_growth_bytes_per_second")[0];
		const full = of("chargehand_store_full_seconds")[0];
		return [
			fact("Store's size", [mib(size.value), kinds.length > 0 && h("div.quiet", kinds.map(({ labels, value }) => `${labels.kind.replaceAll("_", " ")} ${mib(value)}`).join(", "))]),
			fact("Growth", [growth ? `${mib(growth.value * DAY_S)} a day` : "not known yet", full && h("div", state(`full in ${count(Math.round(full.value / DAY_S))} days`, full.value < SOON_DAYS * DAY_S ? "bad" : "good"))]),
		];
	}

	/** Show what the metrics say: rates since the last look, and sums since the start. */
	#numbers(of) {
		const names = { calls: "calls_total", came: "received_bytes_total", went: "sent_bytes_total", rows: "store_rows_total", commits: "store_commit_seconds_count", commit_s: "store_commit_seconds_sum", cpu: "process_cpu_seconds_total" };
		const now = { at: performance.now() / 1000 };
		for (const [name, metric] of Object.entries(names)) now[name] = sum(of(`chargehand_${metric}`));
		const before = this.#before || now;
		this.#before = now;
		const rate = (name, factor = 1, digits = 1) => (now.at > before.at ? (((now[name] - before[name]) * factor) / (now.at - before.at)).toFixed(digits) : "…");
		const commits = now.commits - before.commits;
		const fact = (name, value) => [h("dt", name), h("dd", value)];
		const list = (name, rows, none) => fill(this.#panels[name], h("h2", name), rows.length ? h("ul.reasons", rows.map((row) => h("li", row))) : h("p.quiet", none));
		fill(this.#panels.Rates, h("h2", "Rates"), h("dl.facts",
			fact("Messages", `${rate("calls")} a second`),
			fact("Traffic", `${rate("came", 1 / 1024)} KiB/s in, ${rate("went", 1 / 1024)} KiB/s out`),
			fact("Processor", `${rate("cpu", 100, 0)} % of one core`),
			fact("Memory", `${count(sum(of("chargehand_process_resident_memory_bytes")) / MIB)} MiB`),
			fact("Store", `${rate("rows")} records a second${commits > 0 ? `, ${(((now.commit_s - before.commit_s) / commits) * 1000).toFixed(2)} ms a commit` : ""}`),
			...this.#size(of, fact),
			fact("Disk", of("chargehand_disk_free_bytes").length ? `${count(of("chargehand_disk_free_bytes")[0].value / MIB)} MiB free` : "unknown"),
			fact("Energy", `${energy(sum(of("chargehand_energy_delivered_joules_total")) / J_PER_WH)} delivered since the start`),
			fact("Version", of("chargehand_build_info")[0]?.labels.version || "")));
		const limits = new Map();
		for (const { labels, value } of of("chargehand_rate_limited_total")) limits.set(labels.limit, (limits.get(labels.limit) || 0) + value);
		list("Limits that were hit", [...limits].filter(([, value]) => value).map(([name, value]) => [h("strong", `${count(value)} × `), name.replaceAll("_", " ")]), "None since the start.");
		list("Consumers of events", of("chargehand_consumer_waiting_events").map(({ labels, value }) => [h("strong", labels.consumer), " ", value ? h("span.flag", `${count(value)} events behind`) : state("up to date", "good")]), "No plugin and no application takes durable events.");
	}
}

customElements.define("system-view", SystemView);
