// Streams of server-sent events, read by fetch: a stream says from where it goes on, and how it ended.

import { login, withQuery } from "./api.js";

const FIRST_MS = 500;
const LONGEST_MS = 15000;
const HIDDEN_MS = 60000;

/**
 * Read a stream of the API until `close` is called; a stream that breaks is opened again, behind the last event that
 * had an id. `event(kind, data, id)` is called for each event, `opened(again)` when it is open, `state(word)` with
 * "live", "waiting" and "ended".
 */
export class Stream {
	#path;
	#on;
	#abort = null;
	#timer = 0;
	#wait = FIRST_MS;
	#lastId = "";
	#opened = 0;

	constructor(path, on) {
		this.#path = path;
		this.#on = on;
		this.#open();
	}

	close() {
		clearTimeout(this.#timer);
		this.#abort?.abort();
		this.#abort = null;
		this.#path = "";
	}

	async #open() {
		const abort = (this.#abort = new AbortController());
		try {
			const headers = this.#lastId ? { "Last-Event-ID": this.#lastId } : {};
			const reply = await fetch("api/v1/" + this.#path, { headers, signal: abort.signal, cache: "no-store" });
			if (reply.status === 401) {
				this.#on.state?.("ended");
				login.ended();
				return;
			}
			if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
			this.#wait = FIRST_MS;
			this.#on.state?.("live");
			this.#on.opened?.(this.#opened++ > 0);
			await this.#read(reply.body.getReader());
		} catch (error) {
			if (abort.signal.aborted) return;
			if (error instanceof ReferenceError || error instanceof RangeError) console.error(error);
		}
		if (abort.signal.aborted) return;
		this.#on.state?.("waiting");
		this.#timer = setTimeout(() => this.#open(), this.#wait * (0.75 + Math.random() / 2));
		this.#wait = Math.min(this.#wait * 2, LONGEST_MS);
	}

	async #read(reader) {
		const decoder = new TextDecoder();
		let text = "";
		for (;;) {
			const { value, done } = await reader.read();
			if (done) return;
			text += decoder.decode(value, { stream: true });
			let end;
			while ((end = text.indexOf("\n\n")) >= 0) {
				this.#take(text.slice(0, end));
				text = text.slice(end + 2);
			}
		}
	}

	#take(block) {
		let kind = "message";
		let id = "";
		const data = [];
		for (const line of block.split("\n")) {
			if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
			else if (line.startsWith("event:")) kind = line.slice(6).trim();
			else if (line.startsWith("id:")) id = line.slice(3).trim();
		}
		if (id) this.#lastId = id;
		if (data.length) this.#on.event(kind, JSON.parse(data.join("\n")), id);
	}
}

/**
 * The page's one stream of events: `live.on(["StatusChanged"], handler)` listens; kinds that nobody wants are not asked
 * for, and the same one may come twice. What `live.resync` gets is called whenever events may have been missed: live ones have no id.
 */
class Live extends EventTarget {
	state = "waiting";
	#handlers = new Map(); // handler -> kinds
	#resyncs = new Set();
	#stream = null;
	#kinds = "";
	#timer = 0;
	#paused = false;

	constructor() {
		super();
		document.addEventListener("visibilitychange", () => this.#look());
	}

	/** Listen to events of these kinds; returns the function that ends it. */
	on(kinds, handler) {
		this.#handlers.set(handler, kinds);
		this.#later();
		return () => {
			this.#handlers.delete(handler);
			this.#later();
		};
	}

	/** Call back when events may have been missed; returns the function that ends it. */
	resync(again) {
		this.#resyncs.add(again);
		return () => this.#resyncs.delete(again);
	}

	/** Close the stream: nobody is logged in. */
	stop() {
		this.#stream?.close();
		this.#stream = null;
		this.#kinds = "";
	}

	#pause() {
		this.#paused = this.#stream !== null;
		this.stop();
	}

	#look() {
		clearTimeout(this.#timer);
		if (document.hidden) this.#timer = setTimeout(() => this.#pause(), HIDDEN_MS);
		else this.#later();
	}

	#later() {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#reopen(), 20);
	}

	// A stream of other kinds takes over when it is open: an event may come twice then, and none is missed.
	#reopen() {
		const kinds = [...new Set([...this.#handlers.values()].flat())].sort().join(",");
		if (!kinds || (this.#stream !== null && kinds === this.#kinds)) return;
		const before = this.#stream;
		const paused = before === null && this.#paused;
		this.#paused = false;
		this.#kinds = kinds;
		this.#stream = new Stream(withQuery("events", { kind: kinds }), {
			event: (kind, data) => {
				for (const [handler, wanted] of this.#handlers) if (wanted.includes(kind)) handler(kind, data);
			},
			opened: (again) => {
				before?.close();
				if (again || paused) for (const one of this.#resyncs) one();
			},
			state: (word) => {
				this.state = word;
				this.dispatchEvent(new Event("state"));
			},
		});
	}
}

export const live = new Live();
