// Launch with Crewline's browser client under Node: node launch.mjs MODULE
// MODULE is crewline.js. Prints, as JSON, how calls end against a server that fails at first.
import { createServer } from "node:http";
import { client } from "./client.mjs";

const { launch } = await client(process.argv[2]);

const keys = [];
const server = createServer((request, response) => {
  keys.push(request.headers["idempotency-key"]);
  request.resume();
  if (keys.length === 1) return response.writeHead(503, { "retry-after": "soon" }).end();
  if (keys.length === 2) return request.socket.destroy();
  if (keys.length === 3) {
    response.writeHead(202, { "content-type": "application/json", "content-length": 99 });
    return response.write('{"id":', () => setTimeout(() => request.socket.destroy(), 50)); // it has arrived
  }
  response.writeHead(202, { "content-type": "application/json" }).end('{"id": "fl_1"}');
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}/v1/flows`;

async function settled(options) {
  const waits = [];
  const onRetry = (_, waitMs) => waits.push(waitMs);
  const signal = AbortSignal.timeout(40_000);
  const found = await launch({ crew: "c", inputs: {}, token: "t", signal, onRetry, ...options }).then(
    (value) => ({ value }),
    ({ name }) => ({ name }),
  );
  return { ...found, waits };
}

const launched = await settled({ url });
const mistakes = {
  "no whole address": await settled({}),
  "a name that does not exist": await settled({ url, token: () => nobody }),
  "a number out of range": await settled({ url, token: () => "t".repeat(-1) }),
};
console.log(JSON.stringify({ launched, keys, mistakes }));
server.close();
