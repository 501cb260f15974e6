// node sse_client.mjs CLIENT URL AUTHORIZATION: reads a stream to its end as CLIENT does it, and
// prints each event that it was handed as a line of JSON: [id, data].
import { EventStreamContentType, fetchEventSource } from "@microsoft/fetch-event-source/lib/cjs/index.js";
import { EventSource } from "eventsource";

const [client, url, authorization] = process.argv.slice(2);
const headers = { authorization };

// fetch-event-source is written for browsers.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

class RetriableError extends Error {}
class FatalError extends Error {}
class Over extends Error {}

const stop = new AbortController();
const ended = new Set();
const flows = new URL(url).searchParams.get("flows")?.split(",") ?? [""];

function note(id, data) {
  process.stdout.write(JSON.stringify([id, data]) + "\n");
  const message = JSON.parse(data);
  const { flow = "", event = message } = message;
  if (event.type === "RUN_FINISHED") ended.add(flow);
  if (ended.size === flows.length && client !== "eventsource") setTimeout(() => stop.abort(), 50);
}

// Its README's example as it stands, but for the lines that write down what it was handed.
const readme = {
  async onopen(response) {
    if (response.ok && response.headers.get("content-type") === EventStreamContentType) {
      return; // everything's good
    } else if (response.status >= 400 && response.status < 500 && response.status !== 429) {
      // client-side errors are usually non-retriable:
      throw new FatalError();
    } else {
      throw new RetriableError();
    }
  },
  onmessage(msg) {
    // if the server emits an error message, throw an exception
    // so it gets handled by the onerror callback below:
    if (msg.event === "FatalError") {
      throw new FatalError(msg.data);
    }
    note(msg.id, msg.data);
  },
  onclose() {
    // if the server closes the connection unexpectedly, retry:
    throw new RetriableError();
  },
  onerror(err) {
    if (err instanceof FatalError) {
      throw err; // rethrow to stop the operation
    } else {
      // do nothing to automatically retry. You can also
      // return a specific retry interval here.
    }
  },
};

// As somebody does it who has read its source: 204 is the end, and an empty message is an error.
const careful = {
  async onopen(response) {
    if (response.status === 204) throw new Over();
    if (!response.ok) throw new RetriableError();
  },
  onmessage({ id, data }) {
    note(id, data);
  },
  onclose() {
    throw new RetriableError();
  },
  onerror(error) {
    if (error instanceof Over || error instanceof SyntaxError) throw error;
  },
};

const clients = {
  "fetch-event-source, with care": () => fetchEventSource(url, { headers, signal: stop.signal, ...careful }),
  "fetch-event-source, its README": () => fetchEventSource(url, { headers, signal: stop.signal, ...readme }),
  "eventsource": () =>
    new Promise((resolve) => {
      const source = new EventSource(url, {
        fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }),
      });
      source.onmessage = ({ lastEventId, data }) => note(lastEventId, data);
      source.onerror = () => source.readyState === EventSource.CLOSED && resolve();
    }),
};

try {
  await clients[client]();
} catch (error) {
  if (!(error instanceof Over)) throw error;
}
process.exit(0);
