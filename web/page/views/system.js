// System: dead letters and dead events, tokens, certificates, security events, what was changed over HTTP, counters.

import { get, login, path, send } from "../lib/api.js";
import { attempt, button, confirmed, dialog, failure, field, form } from "../lib/dialog.js";
import { fill, h, Part } from "../lib/dom.js";
import { count, since, state, time } from "../lib/format.js";
import { live } from "../lib/live.js";
import { href } from "../lib/router.js";

const LOOK_MS = 10000;
const CHANGES = 50;
const DAY_MS = 86400000;

class SystemView extends Part {
  #parts = ["Health", "Spool", "Tokens", "Certificates", "Security events", "Changes", "Counters"];
  #panels = Object.fromEntries(this.#parts.map((name) => [name, h("section", { class: "panel", "aria-label": name })]));
  #changes = [];

  start() {
    this.append(h("h1", { class: "visually-hidden" }, "System"), h("div", { class: "panels" }, this.#parts.map((name) => this.#panels[name])));
    this.#panels.Tokens.hidden = !login.may("admin");
    this.until(live.on(["HttpChangeMade"], (_, event) => {
      if (this.#changes.some((one) => one.id && one.id === event.id)) return;
      this.#changes = [event, ...this.#changes].slice(0, CHANGES);
      this.#drawChanges();
    }));
    this.#drawChanges();
    this.every(LOOK_MS, () => this.#read());
  }

  #read() {
    this.#part("Health", "../../healthz", (health) => this.#health(health));
    this.#part("Spool", "spool?limit=50", (spool) => this.#spool(spool));
    if (login.may("admin")) this.#part("Tokens", "tokens", ({ tokens }) => this.#tokens(tokens));
    this.#part("Certificates", "tls", ({ certificates }) => this.#certificates(certificates));
    this.#part("Security events", "security-events?limit=30", (page) => this.#security(Object.values(page).find(Array.isArray) || []));
    this.#part("Counters", "counters", (counters) => [h("h2", {}, "Counters"), !Object.keys(counters).length && h("p", { class: "quiet" }, "Nothing was counted yet."), h("div", { class: "table-wrap values", tabindex: "0" }, h("table", {}, h("tbody", {}, Object.entries(counters).filter(([, value]) => typeof value === "number").sort().map(([name, value]) => h("tr", {}, h("td", {}, name.replaceAll("_", " ")), h("td", { class: "right" }, count(value)))))))]);
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
      fill(panel, h("h2", {}, name), h("p", { class: "fault" }, failure(error)));
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
    return [h("h2", {}, "Health"), h("p", {}, state(health.status, health.status === "ok" ? "good" : "bad"), ` ${count(health.connected)} charge points connected`), h("ul", { class: "reasons" }, failing.map(([name, why]) => h("li", { class: "fault" }, `${name}: ${why.reason || why}`))), h("p", { class: "actions" }, h("a", { href: "docs", class: "as-button" }, "The HTTP API"), h("a", { href: href("supervision"), class: "as-button" }, "Supervision"))];
  }

  #spool({ waiting, dead_letters, dead_events, more }) {
    const letter = (one) => h("li", {}, h("p", {}, h("strong", {}, one.action), " of ", h("a", { href: href(["charge-points", one.charge_point]) }, one.charge_point), one.transaction_id ? [", transaction ", h("a", { href: href(["transactions", one.transaction_id]) }, one.transaction_id)] : "", ", ", time(one.received_at)), h("p", { class: "fault" }, one.why), h("p", { class: "actions" },
      button("Retry", () => this.#act(() => send("POST", path("spool", one.number, "retry"))), { scope: "admin", kind: "small" }),
      button("Delete", async () => (await confirmed("Delete the dead letter?", "Its message is lost then.", "Delete")) && this.#act(() => send("DELETE", path("spool", "dead-letters", one.number), undefined, { by: login.name })), { scope: "admin", kind: "small danger" })));
    const event = (one) => h("li", {}, h("p", {}, h("strong", {}, one.kind), ` for ${one.consumer}, `, time(one.failed_at)), h("p", { class: "fault" }, one.why), h("p", { class: "actions" },
      button("Retry", () => this.#act(() => send("POST", path("spool", "dead-events", one.number, "retry"))), { scope: "admin", kind: "small" }),
      button("Delete", () => this.#act(() => send("DELETE", path("spool", "dead-events", one.number))), { scope: "admin", kind: "small danger" })));
    return [
      h("header", {}, h("h2", {}, "Spool and dead letters"), dead_letters.length > 0 && button("Retry all", () => this.#act(() => send("POST", "spool/retry")), { scope: "admin", kind: "small" })),
      h("p", { class: "quiet" }, `${count(waiting.length)} wait for a plugin, ${count(dead_letters.length)}${more ? "+" : ""} dead letters, ${count(dead_events.length)} dead events`),
      h("ul", { class: "reasons" }, dead_letters.map(letter), dead_events.map(event)),
    ];
  }

  #tokens(tokens) {
    return [
      h("header", {}, h("h2", {}, "Tokens"), button("Add…", () => this.#addToken(), { scope: "admin", kind: "small primary" })),
      h("ul", { class: "reasons" }, tokens.map((one) => h("li", { class: "connector" }, h("strong", {}, one.name), h("span", {}, one.scope), one.expired ? state("ended", "bad") : h("span", { class: "quiet" }, one.expires_at ? ["until ", time(one.expires_at)] : "without end"), h("span", { class: "right" }, button("Revoke", async () => (await confirmed(`Revoke ${one.name}?`, "It counts for no further request, and its logins end.", "Revoke")) && this.#act(() => send("DELETE", path("tokens", one.name))), { scope: "admin", kind: "small danger" }))))),
    ];
  }

  async #addToken() {
    let made = "";
    const saved = await form("New token", [field("name", "Name", { required: true, maxlength: 64 }), field("scope", "Scope", { options: ["read", "command", "admin"] }), field("expires_at", "Valid until", { type: "datetime-local", hint: "Empty: until it is revoked." })], "Make it", async (values) => {
      made = (await send("POST", "tokens", { name: values.name, scope: values.scope, expires_at: values.expires_at ? new Date(values.expires_at).toISOString() : null })).token;
    });
    if (!saved) return;
    dialog("The new token", h("div", { class: "dialog-body" }, h("p", { class: "intro" }, "It is shown this once:"), h("pre", { tabindex: "0", class: "mono" }, made)));
    this.#read();
  }

  #certificates(certificates) {
    return [h("h2", {}, "Certificates in use"), certificates.length ? h("ul", { class: "reasons" }, certificates.map((one) => {
      const ends = one.not_after || one.expires_at;
      const left = ends ? Date.parse(ends) - Date.now() : Infinity;
      return h("li", {}, h("strong", {}, one.file || one.subject || ""), one.file && one.subject ? h("div", { class: "quiet" }, one.subject) : "", " ", ends ? [state(left < 0 ? "ran out" : left < 30 * DAY_MS ? "runs out soon" : "valid", left < 0 ? "bad" : left < 30 * DAY_MS ? "wait" : "good"), " until ", time(ends)] : "");
    })) : h("p", { class: "quiet" }, "TLS is not in use.")];
  }

  #security(events) {
    return [h("h2", {}, "Security events"), events.length ? h("ul", { class: "reasons values", tabindex: "0" }, events.map((one) => h("li", {}, time(one.at || one.received_at || one.timestamp), " ", h("strong", {}, one.type || one.kind || ""), ` ${one.charge_point || one.peer || ""} `, h("span", { class: "quiet" }, one.info || "")))) : h("p", { class: "quiet" }, "None.")];
  }

  #drawChanges() {
    fill(this.#panels.Changes, h("h2", {}, "Changes over HTTP"), h("p", { class: "hint" }, "As they are made; the audit log of the server has all of them."), h("ul", { class: "reasons values", tabindex: "0" }, this.#changes.map((one) => h("li", {}, h("span", { class: "quiet" }, `${since(one.at)} ago `), h("strong", {}, one.token), ` ${one.method} `, h("span", { class: "mono" }, one.path), ` ${one.status}`))));
  }
}

customElements.define("system-view", SystemView);
