// Curves out of meter values, as both versions of OCPP send them.

const SCALE = { kW: 1000, kWh: 1000, kvar: 1000, kvarh: 1000 };
const ENERGY = "Energy.Active.Import.Register";
const POWER = "Power.Active.Import";
export const CURVES = [
	{ id: "power", title: "Power", unit: "W", measurand: POWER },
	{ id: "current", title: "Current", unit: "A", measurand: "Current.Import" },
	{ id: "soc", title: "State of charge", unit: "%", measurand: "SoC" },
	{ id: "energy", title: "Energy", unit: "Wh", measurand: ENERGY },
];

/** Yield the samples of a list of meter values: {at, measurand, value, unit, phase, location, context, signed}. */
export function* samples(meterValues) {
	for (const one of meterValues || []) {
		const at = Date.parse(one.timestamp);
		for (const sample of one.sampledValue || []) {
			const told = sample.unitOfMeasure || {};
			const unit = sample.unit || told.unit || "";
			const signed = sample.signedMeterValue || (sample.format === "SignedData" ? { signedMeterData: sample.value } : null);
			const value = Number(sample.value) * 10 ** (told.multiplier || 0) * (SCALE[unit] || 1);
			yield {
				at,
				measurand: sample.measurand || ENERGY,
				value: signed && sample.format === "SignedData" ? NaN : value,
				unit: unit.replace(/^k/, ""),
				phase: sample.phase || "",
				location: sample.location || "",
				context: sample.context || "",
				signed,
			};
		}
	}
}

/**
 * Make the curves of readings: a list of {id, title, unit, series: [{name, points: [[time, value], …]}], derived}. Where
 * no power was told it is derived from the meter; energy is that since the first reading.
 */
export function curves(meterValues) {
	const found = new Map(CURVES.map((one) => [one.measurand, new Map()]));
	for (const one of samples(meterValues)) {
		const series = found.get(one.measurand);
		if (!series || !Number.isFinite(one.at) || !Number.isFinite(one.value)) continue;
		if (one.location && !["Outlet", "EV"].includes(one.location)) continue;
		if (!series.has(one.phase)) series.set(one.phase, new Map());
		series.get(one.phase).set(one.at, one.value);
	}
	const made = CURVES.map((curve) => ({ ...curve, series: seriesOf(curve, found.get(curve.measurand)) }));
	const energy = made.find((one) => one.id === "energy").series[0];
	if (energy) {
		const first = energy.points[0][1];
		energy.points = energy.points.map(([at, value]) => [at, value - first]);
		const power = made[0];
		if (!power.series.length) {
			power.derived = true;
			power.series = energy.points.length > 1 ? [{ name: "", points: derived(energy.points), step: true }] : [];
		}
	}
	return made.filter((one) => one.series.length);
}

function seriesOf(curve, phases) {
	if (!phases.size) return [];
	const points = (name) => [...phases.get(name)].sort((a, b) => a[0] - b[0]);
	if (phases.has("")) return [{ name: "", points: points("") }];
	const names = [...phases.keys()].filter((name) => /^L[123](-N)?$/.test(name)).sort();
	if (curve.id !== "power") return names.map((name) => ({ name: name.slice(0, 2), points: points(name) }));
	const sums = new Map();
	for (const name of names) for (const [at, value] of phases.get(name)) sums.set(at, (sums.get(at) || 0) + value);
	return sums.size ? [{ name: "", points: [...sums].sort((a, b) => a[0] - b[0]) }] : [];
}

/** Mean power between two readings of the meter. */
function derived(points) {
	const found = [];
	for (let place = 1; place < points.length; place++) {
		const hours = (points[place][0] - points[place - 1][0]) / 3600000;
		if (hours > 0) found.push([points[place][0], (points[place][1] - points[place - 1][1]) / hours]);
	}
	if (found.length) found.unshift([points[0][0], found[0][1]]);
	return found;
}
