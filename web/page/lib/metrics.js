// The metrics of the node, as Prometheus reads them: numbers by name and labels.

/** Read /metrics; returns a function that gives the samples of a name: [{labels, value}]. */
export async function metrics() {
	const reply = await fetch("metrics", { headers: { Accept: "text/plain" }, cache: "no-store" });
	if (!reply.ok) throw new Error(`The metrics cannot be read: HTTP ${reply.status}`);
	const found = new Map();
	for (const line of (await reply.text()).split("\n")) {
		const parts = /^(\w+)(?:\{(.*)\})? ([^ ]+)/.exec(line);
		if (!parts || line.startsWith("#")) continue;
		const labels = Object.fromEntries([...(parts[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, value]) => [key, value.replace(/\\(.)/g, "$1")]));
		if (!found.has(parts[1])) found.set(parts[1], []);
		found.get(parts[1]).push({ labels, value: Number(parts[3]) });
	}
	return (name) => found.get(name) || [];
}

/** Sum of samples, of those that a test lets through. */
export const sum = (samples, fits = () => true) => samples.filter((one) => fits(one.labels)).reduce((total, one) => total + one.value, 0);
