// node gathering_proxy.mjs TARGET: codes all that is not coded yet, whatever Cache-Control says, and
// sends it on once there is enough of it, as some proxies do; prints its port.
import http from "node:http";
import { createGzip } from "node:zlib";

const target = new URL(process.argv[2]);
const server = http.createServer((request, response) => {
  if (request.url === "/compressed") {
    response.writeHead(200, { "content-encoding": "gzip", "content-type": "text/event-stream" });
    createGzip().on("data", (part) => response.write(part)).on("end", () => response.end()).end("x".repeat(5000));
    return;
  }
  const { method, url: path, headers } = request;
  const asked = http.request({ host: target.hostname, port: target.port, method, path, headers });
  request.pipe(asked).on("response", (upstream) => {
    if (upstream.headers["content-encoding"]) {
      response.writeHead(upstream.statusCode, upstream.headers);
      upstream.pipe(response);
    } else {
      response.writeHead(upstream.statusCode, { ...upstream.headers, "content-encoding": "gzip" });
      upstream.pipe(createGzip()).pipe(response);
    }
    response.flushHeaders();
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
