// Numbers and times as people read them: local time, with the zone and UTC in the title.

import { h } from "./dom.js";

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const short = new Intl.DateTimeFormat(undefined, { month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "2-digit" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

export const count = (value) => whole.format(value);

/** "1.4 kW"; "" for what is not known. */
export function power(watts) {
	return watts === null || watts === undefined ? "" : unit(watts, "W");
}

/** "12.35 kWh" */
export function energy(wattHours) {
	return wattHours === null || wattHours === undefined ? "" : unit(wattHours, "Wh", 2);
}

export function unit(value, name, digits = 1) {
	if (Math.abs(value) >= 1e6) return `${(value / 1e6).toFixed(digits)} M${name}`;
	if (Math.abs(value) >= 1000) return `${(value / 1000).toFixed(digits)} k${name}`;
	return `${whole.format(value)} ${name}`;
}

/** Seconds as "3 d 4 h", "2 h 05 min", "4 min", "12 s". */
export function duration(seconds) {
	const s = Math.max(0, Math.round(seconds));
	if (s < 60) return `${s} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min`;
	if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
	return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** "4 min" since a time of the server; "" for none. */
export function since(at, now = Date.now()) {
	return at ? duration((now - Date.parse(at)) / 1000) : "";
}

/** "Nov 28, 21:04", for cells; of another year "Nov 28, 2027". */
export function moment(at) {
	if (!at) return "";
	const time = new Date(at);
	return (time.getFullYear() === new Date().getFullYear() ? short : day).format(time);
}

export const timeOfDay = (at) => clock.format(typeof at === "number" ? at : Date.parse(at));
export const longMoment = (at) => (at ? `${full.format(Date.parse(at))} · ${at}` : "");

/** Make a <time> with the short form, and the long one in its title. */
export function time(at, text = moment(at)) {
	return at ? h("time", { datetime: at, title: longMoment(at) }, text) : "";
}

const TONES = {
	available: "good",
	charging: "busy",
	occupied: "busy",
	preparing: "wait",
	finishing: "wait",
	suspendedev: "wait",
	suspendedevse: "wait",
	reserved: "held",
	unavailable: "away",
	faulted: "bad",
};

/** Tone of a status: good, busy, wait, held, away, bad; the words stay those of the version. */
export const tone = (status) => TONES[(status || "").toLowerCase()] || "away";

/** Make a state: a mark with a colour and a form of its own, and the word. */
export function state(word, kind = tone(word), title = "") {
	return h("span", { class: `state ${kind}`, title: title || null }, word);
}

/** Words of a camel-case name: "SuspendedEVSE" is "Suspended EVSE". */
export const words = (name) => name.replace(/([a-z])([A-Z])/g, "$1 $2");
