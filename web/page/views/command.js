// A command to one charge point: a form made from the message's declaration, and its ticket until the effect.

import { get, path, send } from "../lib/api.js";
import { attempt, dialog, failure, field } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { state, time, words } from "../lib/format.js";
import { actions, actionSchema, allFields, description, fieldsOf, label, membersOf, showViolations, verbs, verbSchema } from "../lib/schema.js";

const LOOK_MS = 700;
// Commands after which a message shows that they were carried out.
const EFFECTS = /^((change|set)availability|(extended)?trigger(message)?|getdiagnostics|getlogs?|(remote|request)?(start|stop)(transaction|charging)|reset|(signed)?updatefirmware|publishfirmware|customerinformation|get(base|monitoring)?report|getchargingprofiles|getdisplaymessages)$/i;
const TONES = { answered: "good", done: "good", held: "wait", queued: "wait", sent: "busy", pending: "busy" };

/** State of a ticket, with that of its effect. */
export function ticketState(ticket) {
	const answered = ticket.response?.status;
	const tone = ticket.state === "answered" && answered && !["Accepted", "Scheduled", "Unlocked", "RebootRequired"].includes(answered) ? "wait" : TONES[ticket.state] || "bad";
	return h("span.states", state(words((answered || ticket.state).replaceAll("_", " ")), tone), ticket.effect && state(`effect: ${ticket.effect.replaceAll("_", " ")}`, TONES[ticket.effect] || "bad"));
}

/** Ask for a command to a charge point; `preset` is "verb:NAME" or "action:NAME". Resolves when the dialog is closed. */
export async function command(id, version, preset = "verb:start_charging") {
	const body = h("div.dialog-body");
	const one = dialog(`Command to ${id}`, body, { wide: true });
	let root;
	let names;
	try {
		root = await description();
		names = { verb: await verbs(), action: await actions(version || "1.6") };
	} catch (error) {
		fill(body, h("p.fault", { role: "alert" }, failure(error)));
		return one.closed;
	}
	const chosen = field("command", "Command", { options: [] });
	fill(chosen.control, h("optgroup", { label: "The same for every version" }, names.verb.map((name) => h("option", { value: `verb:${name}` }, label(name)))), h("optgroup", { label: `Messages of OCPP ${version || "1.6"}` }, names.action.map((name) => h("option", { value: `action:${name}` }, name))));
	chosen.control.value = preset;
	const about = h("p.hint");
	const members = h("div");
	const effect = field("until_effect", "Wait for the effect", { type: "checkbox", value: true });
	const queue = field("queue", "Keep it for a charge point that is away", { type: "checkbox" });
	const problem = h("p.fault", { role: "alert" });
	const submit = h("button.primary", "Send");
	const tickets = h("div.tickets", { "aria-live": "polite" });
	let fields = [];
	const choose = async () => {
		const [kind, name] = chosen.control.value.split(":");
		const schema = kind === "verb" ? await verbSchema(name) : await actionSchema(name, version || "1.6");
		const awaited = EFFECTS.test(name.replaceAll("_", ""));
		effect.hidden = !awaited;
		effect.control.checked = awaited;
		about.textContent = schema?.description || "";
		fields = schema ? fieldsOf(schema, root) : [];
		fill(members, fields);
		problem.textContent = "";
	};
	chosen.control.addEventListener("change", choose);
	await choose();
	const submitted = async (event) => {
		event.preventDefault();
		problem.textContent = "";
		for (const each of allFields(fields)) each.fault("");
		submit.disabled = true;
		const [kind, name] = chosen.control.value.split(":");
		const query = { wait: "0", until_effect: effect.control.checked ? "1" : "", when_offline: queue.control.checked ? "queue" : "" };
		try {
			const ticket = await send("POST", path("charge-points", id, kind === "verb" ? "verbs" : "commands", name), membersOf(fields), query);
			follow(tickets, ticket.ticket, one);
		} catch (error) {
			const others = error.body?.violations ? showViolations(fields, error.body.violations) : null;
			const at = !others && fields.find((each) => error.message.startsWith(`${each.key}:`));
			if (at) at.fault(error.message.slice(at.key.length + 1).trim());
			else problem.textContent = others ? others.map((violation) => `${violation.path} ${violation.text}`).join("; ") : failure(error);
		} finally {
			submit.disabled = false;
		}
	};
	fill(body, h("form", { novalidate: true, onsubmit: submitted }, chosen, about, members, effect, queue, problem, h("footer", submit)), tickets);
	chosen.control.focus();
	return one.closed;
}

/** Show a ticket as its state changes, until its effect is known. */
async function follow(place, id, one) {
	const line = h("div.ticket.panel");
	place.prepend(line);
	let open = true;
	one.closed.then(() => (open = false));
	while (open) {
		const ticket = await get(path("tickets", id)).catch((error) => ({ ticket: id, action: "", state: failure(error), open: false }));
		fill(line, ticketLine(ticket));
		if (!ticket.open && ticket.effect !== "pending") return;
		await new Promise((done) => setTimeout(done, LOOK_MS));
	}
}

/** Elements that tell of a ticket: state, times, request and answer. */
export function ticketLine(ticket) {
	const answer = ticket.error ? `${ticket.error.code} ${ticket.error.description}` : ticket.reason || "";
	return [
		h("p.line", h("strong", ticket.action), ticketState(ticket), h("span.quiet", time(ticket.created_at)), ticket.open && ["held", "queued"].includes(ticket.state) && h("button", { type: "button", class: "small danger", onclick: () => attempt(() => send("DELETE", path("tickets", ticket.ticket))) }, "Cancel")),
		answer && h("p.fault", answer),
		h("details", h("summary", "Request and answer"), h("pre", { tabindex: "0" }, JSON.stringify({ request: ticket.request, response: ticket.response, deviations: ticket.deviations, late_answer: ticket.late_answer ?? undefined }, null, 2))),
	];
}
