/* A central system made with npm's `ocpp-rpc` in strict mode, the way its own documentation shows.
 *
 * Its one rule: schemas are checked both ways (strictMode), as a user who cares would run it. It never does more than
 * answer the mix of `cpload`. `contestants.py` installs the package into bench/build.
 *
 *     node bench/peer_rpc.cjs PORT
 */
"use strict";

const path = require("node:path");
const { RPCServer } = require(path.join(__dirname, "build", "node_modules", "ocpp-rpc"));

const now = () => new Date().toISOString();
const accepted = { idTagInfo: { status: "Accepted" } };
let transactionId = 0;

const answers = {
  BootNotification: () => ({ status: "Accepted", interval: 300, currentTime: now() }),
  Heartbeat: () => ({ currentTime: now() }),
  StatusNotification: () => ({}),
  MeterValues: () => ({}),
  Authorize: () => accepted,
  StartTransaction: () => ({ transactionId: ++transactionId, ...accepted }),
  StopTransaction: () => ({}),
};

const server = new RPCServer({ protocols: ["ocpp1.6"], strictMode: true });
server.on("client", (client) => {
  for (const [action, answer] of Object.entries(answers)) client.handle(action, answer);
});
server.listen(Number(process.argv[2]), "127.0.0.1");
