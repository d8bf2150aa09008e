// A plugin host in JavaScript: it handles Authorize for the charge points of all nodes, and needs nothing but Node.js.
//
//     chargehand serve --redis redis://127.0.0.1:6379        with redis.remote_actions = ["Authorize"]
//     node examples/plugin_host.mjs 127.0.0.1 6379
//
// It does what docs/scaling.md asks of a plugin host: it says that it is there, takes its share of the streams, handles the
// calls of one stream in order, and takes an entry off its stream in the same transaction that answers it.

import net from "node:net";
import { randomBytes } from "node:crypto";

const [host = "127.0.0.1", port = "6379", prefix = "chargehand", group = "default"] = process.argv.slice(2);
const me = `mjs-${process.pid}-${randomBytes(2).toString("hex")}`;
const LEASE_MS = 4000, RENEW_MS = 1000, ALIVE_MS = 10000;

// What this plugin host does: from action and envelope to a response. It may be async; what it throws is a failure.
const handlers = {
  Authorize: (call) => ({
    idTagInfo: { status: call.payload.idTag.startsWith("T") ? "Accepted" : "Invalid", parentIdTag: "mjs" },
  }),
};

// -- Redis, as RESP: one connection, many commands at a time ------------------------------------------------------------

class Redis {
  #socket = net.connect(Number(port), host);
  #waiting = [];
  #data = Buffer.alloc(0);

  constructor() {
    this.#socket.setNoDelay();
    this.#socket.on("data", (data) => this.#read(Buffer.concat([this.#data, data])));
    for (const end of ["error", "close"]) this.#socket.on(end, () => process.exit(1)); // whoever runs it starts it again
  }

  ask(...parts) {
    const bulks = parts.map((part) => `$${Buffer.byteLength(`${part}`)}\r\n${part}\r\n`);
    this.#socket.write(`*${parts.length}\r\n${bulks.join("")}`);
    return new Promise((answer, refuse) => this.#waiting.push({ answer, refuse }));
  }

  #read(data) {
    let at = 0;
    for (;;) {
      const found = parse(data, at);
      if (found === undefined) break;
      at = found.end;
      const { answer, refuse } = this.#waiting.shift();
      if (found.value instanceof Error) refuse(found.value);
      else answer(found.value);
    }
    this.#data = data.subarray(at);
  }
}

function parse(data, at) {
  const line = data.indexOf("\r\n", at);
  if (line < 0) return undefined;
  const kind = String.fromCharCode(data[at]), text = data.toString("utf8", at + 1, line);
  let end = line + 2;
  if (kind === "+") return { value: text, end };
  if (kind === "-") return { value: new Error(text), end };
  if (kind === ":") return { value: Number(text), end };
  const count = Number(text);
  if (count < 0) return { value: null, end };
  if (kind === "$") {
    if (data.length < end + count + 2) return undefined;
    return { value: data.toString("utf8", end, end + count), end: end + count + 2 };
  }
  const value = [];
  for (let n = 0; n < count; n++) {
    const item = parse(data, end);
    if (item === undefined) return undefined;
    value.push(item.value);
    end = item.end;
  }
  return { value, end };
}

// -- Leases ---------------------------------------------------------------------------------------------------------------

const redis = new Redis(), reader = new Redis(); // one that waits for entries needs a connection of its own
const mine = new Map(); // stream number -> { until, claimed }
let share = 0, stopping = false;

const key = (n) => `${prefix}:p:${n}:${group}`;
const owner = (n) => `${prefix}:p:${n}:owner:${group}`;
const RENEW_OWN = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 2 or 0`;
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`;

async function renew() {
  const sent = Date.now(), [seconds, micros] = await redis.ask("TIME");
  const now = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000), workers = `${prefix}:workers:${group}`;
  await redis.ask("ZADD", workers, now + LEASE_MS, me);
  await redis.ask("ZREMRANGEBYSCORE", workers, "-inf", now);
  await redis.ask("SET", `${prefix}:alive:${group}`, me, "PX", ALIVE_MS);
  const streams = Number((await redis.ask("GET", `${prefix}:partitions`)) ?? 0);
  const all = (await redis.ask("ZRANGE", workers, 0, -1)).sort();
  share = Math.floor(streams / all.length) + (all.indexOf(me) < streams % all.length ? 1 : 0);
  for (let n = 0; n < streams && !stopping; n++) {
    if (!mine.has(n) && mine.size >= share) continue;
    const had = await redis.ask("EVAL", RENEW_OWN, 1, owner(n), me, LEASE_MS);
    if (had === 0) mine.delete(n);
    else mine.set(n, { until: sent + LEASE_MS, claimed: had === 1 && (mine.get(n)?.claimed ?? false) });
  }
}

async function giveBack(n) {
  mine.delete(n);
  await redis.ask("EVAL", RELEASE, 1, owner(n), me);
}

// -- Entries --------------------------------------------------------------------------------------------------------------

async function claim(n) {
  await redis.ask("XGROUP", "CREATE", key(n), group, "0", "MKSTREAM").catch(() => {}); // it is there already
  let cursor = "0-0", entries;
  do {
    [cursor, entries] = await redis.ask("XAUTOCLAIM", key(n), group, me, 0, cursor, "COUNT", 64);
    await deal(n, entries);
  } while (cursor !== "0-0");
  if (mine.has(n)) mine.get(n).claimed = true;
}

async function deal(n, entries) {
  for (const [id, fields] of entries) {
    const one = mine.get(n);
    if (!one || one.until <= Date.now()) { // its lease has ended: the rest is for whoever has the stream next
      if (one) one.claimed = false;
      return;
    }
    const call = JSON.parse(fields[1]);
    const answer = call.kind === "call" ? await answerTo(n, id, call) : null;
    const steps = [["MULTI"]];
    if (answer !== null) {
      if (!answer.failed) steps.push(["SET", `${prefix}:done:${call.key}`, JSON.stringify(answer), "EX", call.keep_s]);
      const whole = JSON.stringify({ v: 1, kind: "answer", id: call.id, ...answer }), to = `${prefix}:answers:${call.node}`;
      steps.push(["XADD", to, "MAXLEN", "~", 10000, "*", "a", whole], ["EXPIRE", to, 60]);
    }
    steps.push(["XACK", key(n), group, id], ["XDEL", key(n), id], ["EXEC"]);
    await Promise.all(steps.map((step) => redis.ask(...step)));
  }
}

async function answerTo(n, id, call) {
  const epochs = `${prefix}:p:${n}:epochs:${group}`, highest = Number((await redis.ask("HGET", epochs, call.charge_point)) ?? 0);
  if (call.epoch < highest && !call.replayed) return { failed: "another node has the charge point since" };
  if (call.epoch > highest) await redis.ask("HSET", epochs, call.charge_point, call.epoch);
  const known = await redis.ask("GET", `${prefix}:done:${call.key}`);
  if (known !== null) return JSON.parse(known);
  const seconds = Number((await redis.ask("TIME"))[0]);
  if (seconds - Number(id.split("-")[0]) / 1000 > call.timeout_s) return { failed: "its time was over" };
  if (!(call.action in handlers)) return { failed: `${me} does not handle ${call.action}` };
  try {
    return { response: await handlers[call.action](call) };
  } catch (error) {
    return { failed: `its handler failed: ${error}` };
  }
}

async function work() {
  while (!stopping) {
    while (mine.size > share) await giveBack([...mine.keys()].at(-1)); // nothing of it is pending between two reads
    for (const [n, one] of mine) if (!one.claimed) await claim(n);
    const numbers = [...mine.keys()];
    if (numbers.length === 0) {
      await new Promise((wake) => setTimeout(wake, 100));
      continue;
    }
    const names = [...numbers.map(key), ...numbers.map(() => ">")];
    const found = await reader.ask("XREADGROUP", "GROUP", group, me, "COUNT", 64, "BLOCK", 500, "STREAMS", ...names);
    await Promise.all((found ?? []).map(([name, entries]) => deal(Number(name.split(":").at(-2)), entries)));
  }
  for (const n of [...mine.keys()]) await giveBack(n);
  await redis.ask("ZREM", `${prefix}:workers:${group}`, me);
  process.exit(0);
}

await renew();
setInterval(() => void renew(), RENEW_MS);
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => (stopping = true));
console.log(`plugin host ${me}, group ${group}\nready`);
await work();
