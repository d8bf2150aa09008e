// A command to many charge points, with its progress.

import { get, path, send } from "../lib/api.js";
import { attempt, dialog, failure, field } from "../lib/dialog.js";
import { fill, h, say } from "../lib/dom.js";
import { count, state } from "../lib/format.js";
import { href } from "../lib/router.js";
import { description, fieldsOf, label, membersOf, verbs, verbSchema } from "../lib/schema.js";

const FIRST = ["reset", "set_availability", "trigger", "set_configuration", "update_firmware", "get_logs", "unlock"];
const WAIT_S = 3;

/** Ask for a command to these charge points, send it, and show how it goes on. */
export async function bulk(ids) {
	const body = h("div.dialog-body");
	const one = dialog(`Command to ${count(ids.length)} charge point${ids.length === 1 ? "" : "s"}`, body, { wide: true });
	let root;
	let known;
	try {
		[root, known] = [await description(), await verbs()];
	} catch (error) {
		fill(body, h("p.fault", { role: "alert" }, failure(error)));
		return;
	}
	const listed = [...FIRST.filter((verb) => known.includes(verb)), ...known.filter((verb) => !FIRST.includes(verb))];
	const verb = field("verb", "Command", { options: listed.map((value) => ({ value, label: label(value) })) });
	const queue = field("queue", "Those that are offline", { options: [{ value: "fail", label: "are left out" }, { value: "queue", label: "get it when they connect" }] });
	const atOnce = field("at_once", "At most at once", { type: "number", min: 1, placeholder: "as set" });
	const members = h("div.fields");
	const problem = h("p.fault", { role: "alert" });
	const submit = h("button.primary", "Send");
	let fields = [];
	const choose = async () => {
		const schema = await verbSchema(verb.control.value);
		fields = schema ? fieldsOf(schema, root) : [];
		fill(members, fields);
	};
	verb.control.addEventListener("change", choose);
	await choose();
	const form = h(
		"form",
		{
			novalidate: true,
			onsubmit: async (event) => {
				event.preventDefault();
				problem.textContent = "";
				for (const each of fields) each.fault("");
				submit.disabled = true;
				try {
					const command = { charge_points: ids, verb: verb.control.value, members: membersOf(fields) };
					if (atOnce.control.value) command.at_most_at_once = Number(atOnce.control.value);
					const begun = await send("POST", "bulk", command, { when_offline: queue.control.value });
					follow(one, body, begun);
				} catch (error) {
					const at = fields.find((each) => error.message.startsWith(`${each.control.name}:`));
					if (at) at.fault(error.message.slice(at.control.name.length + 1).trim());
					else problem.textContent = failure(error);
					submit.disabled = false;
				}
			},
		},
		verb, members, h("div.two", queue, atOnce), problem, h("footer", submit),
	);
	fill(body, form);
	verb.control.focus();
}

async function follow(one, body, begun) {
	const bar = h("progress", { max: "1", value: 0, "aria-label": "Progress" });
	const line = h("p", { role: "status" });
	const counts = h("p.states");
	const list = h("ul.results");
	const cancel = h("button.danger", { onclick: () => attempt(() => send("DELETE", path("bulk", begun.bulk)), "What was not sent yet is cancelled.") }, "Cancel the rest");
	fill(body, h("p", h("strong", label(begun.command)), ` · ${begun.bulk}`), bar, line, counts, list, h("footer", cancel));
	let open = true;
	one.closed.then(() => (open = false));
	let after = 0;
	while (open) {
		let found;
		try {
			found = await get(path("bulk", begun.bulk), { after, limit: 500, wait: WAIT_S });
		} catch (error) {
			say(line, failure(error));
			return;
		}
		after = found.next;
		bar.max = Math.max(1, found.total ?? found.ended + found.open);
		bar.value = found.ended;
		say(line, `${count(found.ended)} of ${found.total === null ? "…" : count(found.total)} ended, ${count(found.ok)} well${found.waiting ? `, ${count(found.waiting)} wait for charge points that are away` : ""}${found.failure ? ` · ${found.failure}` : ""}`);
		fill(counts, Object.entries({ ...found.states, ...found.statuses, ...found.effects }).map(([word, number]) => state(`${word} ${count(number)}`, "away")));
		for (const result of found.results) {
			if (list.children.length >= 1000) break;
			const text = result.reason || result.code || result.response?.status || result.effect || result.state;
			list.append(h("li", state(result.ok ? "OK" : "Failed", result.ok ? "good" : "bad"), h("a", { href: href(["charge-points", result.charge_point]) }, result.charge_point), h("span.quiet", text)));
		}
		if (found.done && !found.more) {
			cancel.remove();
			return;
		}
	}
}
