// The peer of the bench `links`: a socket.io server that holds a fleet's sockets, knows each by its credential's hash,
// takes greetings and heartbeats, and keeps of each node what was heard last. It stores nothing.
//
//   node --expose-gc server.mjs FOLDER_WITH_NODE_MODULES PORT CREDENTIAL_FILE
//
// Prints `listening` when it does. SIGUSR2 collects garbage, so that its memory is measured without any, and prints how
// many sockets it holds and how many heartbeats it has taken.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [folder, port, credentials] = process.argv.slice(2);
const { Server } = createRequire(`${folder}/package.json`)("socket.io");
const hash = (text) => createHash("sha256").update(text).digest("hex");

const known = new Map();
for (const line of readFileSync(credentials, "utf8").split("\n")) {
  if (line) known.set(hash(line), { seen: 0 });
}

let beats = 0;
const http = createServer();
// The agents' own heartbeats are the ones that count, as with the control plane: the server's are put off.
const io = new Server(http, {
  transports: ["websocket"],
  pingInterval: 86_400_000,
  pingTimeout: 60_000,
  connectTimeout: 45_000,
});
io.use((socket, next) => {
  const bearer = socket.handshake.headers.authorization ?? "";
  const node = known.get(hash(bearer.replace(/^Bearer /, "")));
  if (!node) return next(new Error("unauthenticated"));
  socket.data.node = node;
  next();
});
io.on("connection", (socket) => {
  const node = socket.data.node;
  socket.on("hello", (hello, answer) => {
    node.hello = hello;
    node.seen = Date.now();
    answer({ status: "success" });
  });
  socket.on("heartbeat", (beat) => {
    beats += 1;
    node.seen = Date.now();
    if (beat.resources) node.resources = beat.resources;
  });
});
process.on("SIGUSR2", () => {
  globalThis.gc?.();
  console.log(`${io.engine.clientsCount} ${beats}`);
});
http.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 }, () => console.log("listening"));
