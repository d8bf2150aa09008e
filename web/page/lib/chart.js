// Curves over time, drawn as SVG: panes above each other with one axis of time, and a readout for pointer and keys.

import { fill, h, Part, svg } from "./dom.js";
import { timeOfDay, unit } from "./format.js";

const LEFT = 64;
const RIGHT = 14;
const HEIGHT = 132;
const HEAD = 24;
const AXIS = 26;
const MOST = 1500; // points of a line; of more the least and the largest of each part are drawn
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

/** Round marks between two values. */
export function ticks(least, most, wanted = 4) {
	const rough = (most - least) / wanted || 1;
	const power = 10 ** Math.floor(Math.log10(rough));
	const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
	const found = [];
	for (let value = Math.ceil(least / step) * step; value <= most + step / 1e6; value += step) found.push(Number(value.toPrecision(12)));
	return found;
}

function timeTicks(from, to, wanted) {
	const step = 1000 * (STEPS_S.find((one) => (one * 1000 * wanted) >= to - from) || 604800);
	const zone = new Date(from).getTimezoneOffset() * 60000;
	const found = [];
	for (let at = Math.ceil((from - zone) / step) * step + zone; at <= to; at += step) found.push(at);
	return found;
}

function thinned(points) {
	if (points.length <= MOST) return points;
	const part = Math.ceil(points.length / (MOST / 2));
	const found = [];
	for (let place = 0; place < points.length; place += part) {
		const some = points.slice(place, place + part);
		const least = some.reduce((a, b) => (b[1] < a[1] ? b : a));
		const most = some.reduce((a, b) => (b[1] > a[1] ? b : a));
		found.push(...(least[0] <= most[0] ? [least, most] : [most, least]));
	}
	return found;
}

/** Value of a series at a time: that of the last point before it. */
function at(points, time) {
	let low = 0;
	let high = points.length - 1;
	if (high < 0 || time < points[0][0]) return null;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		if (points[middle][0] <= time) low = middle;
		else high = middle - 1;
	}
	return points[low];
}

const number = (value, name) => (name === "%" ? `${value.toFixed(0)} %` : name === "A" ? `${value.toFixed(1)} A` : unit(value, name, name === "Wh" ? 2 : 1));

/** `<time-chart>`: `show(curves)` draws curves as lib/samples.js makes them. */
export class TimeChart extends Part {
	label = "Curves";
	#curves = [];
	#drawing = h("div.chart-drawing");
	#readout = h("p.chart-readout", { "aria-live": "polite" });
	#cursor = null;
	#x = null;
	#times = [];
	#place = -1;

	start() {
		this.append(this.#drawing, this.#readout);
		const size = new ResizeObserver(() => this.#draw());
		size.observe(this);
		this.until(() => size.disconnect());
		this.#drawing.addEventListener("pointermove", (event) => this.#point(event));
		this.#drawing.addEventListener("pointerleave", () => this.#read(-1));
		this.#drawing.addEventListener("keydown", (event) => this.#key(event));
	}

	show(curves) {
		this.#curves = curves;
		const times = new Set();
		for (const curve of curves) for (const series of curve.series) for (const [time] of series.points) times.add(time);
		this.#times = [...times].sort((a, b) => a - b);
		this.#draw();
	}

	#draw() {
		const width = this.clientWidth;
		if (!width || !this.#times.length) {
			if (!this.#times.length) fill(this.#drawing, h("p.empty", "No reading that makes a curve."));
			return;
		}
		const from = this.#times[0];
		const to = Math.max(this.#times[this.#times.length - 1], from + 1000);
		const inner = width - LEFT - RIGHT;
		const x = (this.#x = (time) => LEFT + ((time - from) / (to - from)) * inner);
		const height = this.#curves.length * (HEIGHT + HEAD) + AXIS;
		this.#cursor = svg("line", { class: "chart-cursor", y1: 0, y2: height - AXIS, x1: -9, x2: -9 });
		const marks = timeTicks(from, to, Math.max(2, Math.floor(inner / 90)));
		const panes = this.#curves.map((curve, place) => this.#pane(curve, place * (HEIGHT + HEAD), x, width, marks));
		const axis = marks.map((time) => svg("text", { x: x(time), y: height - 8, class: "chart-time", "text-anchor": "middle" }, timeOfDay(time).slice(0, to - from < 300000 ? 8 : 5)));
		const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", "aria-label": `${this.label}: ${this.#summary()}. Arrow keys read values.` }, panes, axis, this.#cursor);
		const focused = this.#drawing.contains(document.activeElement);
		fill(this.#drawing, drawing);
		if (focused) drawing.focus();
		if (this.#place >= 0) this.#read(Math.min(this.#place, this.#times.length - 1));
		else this.#rest();
	}

	#summary() {
		return this.#curves.map((curve) => {
			const values = curve.series.flatMap((one) => one.points.map((point) => point[1]));
			return `${curve.title} from ${number(Math.min(...values.slice(0, 1e5)), curve.unit)} to ${number(Math.max(...values.slice(0, 1e5)), curve.unit)}`;
		}).join(", ");
	}

	#pane(curve, top, x, width, marks) {
		let least = 0;
		let most = curve.unit === "%" ? 100 : 0;
		for (const series of curve.series) for (const [, value] of series.points) [least, most] = [Math.min(least, value), Math.max(most, value)];
		if (most === least) most = least + 1;
		const levels = ticks(least, most, 3);
		most = Math.max(most, levels[levels.length - 1]);
		const floor = top + HEAD + HEIGHT - 12;
		const y = (value) => floor - ((value - least) / (most - least)) * (HEIGHT - 22);
		const lines = levels.map((value) => [svg("line", { class: "chart-grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }), svg("text", { class: "chart-level", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, number(value, curve.unit).replace(/\.0+(?= )/, ""))]);
		const grid = marks.map((time) => svg("line", { class: "chart-grid faint", x1: x(time), x2: x(time), y1: top + HEAD, y2: floor }));
		const drawn = curve.series.map((series, which) => {
			const points = thinned(series.points);
			let path = "";
			points.forEach(([time, value], place) => {
				const [px, py] = [x(time).toFixed(1), y(value).toFixed(1)];
				if (!place) path = `M${px} ${py}`;
				else path += series.step ? `V${py}H${px}` : `L${px} ${py}`;
			});
			const area = curve.series.length === 1 && `${path}L${x(points[points.length - 1][0]).toFixed(1)} ${y(Math.max(0, least)).toFixed(1)}L${x(points[0][0]).toFixed(1)} ${y(Math.max(0, least)).toFixed(1)}Z`;
			return [area && svg("path", { class: `chart-area ${curve.id}`, d: area }), svg("path", { class: `chart-line ${curve.id} line-${which}`, d: path })];
		});
		const names = curve.series.length > 1 ? curve.series.map((one) => one.name).join(", ") : "";
		const title = svg("text", { class: "chart-title", x: 0, y: top + 15 }, `${curve.title}${names ? ` (${names})` : ""}${curve.derived ? ", by the meter" : ""}`);
		return svg("g", {}, title, lines, grid, drawn);
	}

	#point(event) {
		if (!this.#x || !this.#times.length) return;
		const box = this.#drawing.getBoundingClientRect();
		const wanted = event.clientX - box.left;
		let best = 0;
		let low = 0;
		let high = this.#times.length - 1;
		while (low <= high) {
			const middle = (low + high) >> 1;
			if (Math.abs(this.#x(this.#times[middle]) - wanted) < Math.abs(this.#x(this.#times[best]) - wanted)) best = middle;
			if (this.#x(this.#times[middle]) < wanted) low = middle + 1;
			else high = middle - 1;
		}
		this.#read(best);
	}

	#key(event) {
		const last = this.#times.length - 1;
		const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20, Home: -last - 1, End: last + 1 };
		if (event.key === "Escape") this.#read(-1);
		else if (event.key in steps) this.#read(Math.max(0, Math.min(last, (this.#place < 0 && steps[event.key] > 0 ? -1 : this.#place) + steps[event.key])));
		else return;
		event.preventDefault();
	}

	#values(time) {
		return this.#curves.flatMap((curve) => curve.series.map((series) => {
			const point = at(series.points, time);
			return point && h("span", { class: `chart-value ${curve.id}` }, `${curve.title}${series.name ? ` ${series.name}` : ""} `, h("strong", number(point[1], curve.unit)));
		}));
	}

	#rest() {
		const time = this.#times[this.#times.length - 1];
		fill(this.#readout, h("span.quiet", `${timeOfDay(time)} (last)`), this.#values(time));
	}

	#read(place) {
		this.#place = place;
		if (!this.#cursor) return;
		if (place < 0) {
			this.#cursor.setAttribute("x1", "-9");
			this.#cursor.setAttribute("x2", "-9");
			this.#rest();
			return;
		}
		const time = this.#times[place];
		const x = this.#x(time).toFixed(1);
		this.#cursor.setAttribute("x1", x);
		this.#cursor.setAttribute("x2", x);
		fill(this.#readout, h("span", timeOfDay(time)), this.#values(time));
	}
}

customElements.define("time-chart", TimeChart);

