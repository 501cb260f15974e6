// Launch crews, follow flows, answer and cancel them: see crewline.d.ts for what is promised.

const LONG_POLL_SECONDS = 25; // how long the server is asked to hold a long poll
const ANSWER_SECONDS = 10; // for an answer, beyond what the server was asked to hold
const ROLL_CALL_MS = 50; // for the other followers to say what they want, before a connection
const ROTATE_MS = 5000; // how long one choice of flows is streamed, when there are too many
const LONGEST_WAIT_MS = 30_000;
const STREAM_SECONDS = 300; // no server streams for longer
const FALLBACK_MS = 300_000; // how long a worse way of asking is kept before a better one is tried
const FAILURES_BEFORE_FALLBACK = 5;
const FLOWS_PER_STREAM = 20;
const APPEAR_MS = 3000; // a store that lags may not show a new flow for so long
const FALLBACK = { stream: "longpoll", longpoll: "poll" };
const TOO_MANY = 429;

// Launching and commanding

export async function launch({ crew, inputs, url = "/v1/flows", key = randomId(), ...options }) {
  const request = requester(options);
  const { signal = new AbortController().signal, onRetry } = options;
  const headers = { "content-type": "application/json", "idempotency-key": key };
  const body = JSON.stringify({ crew, inputs });
  for (let failures = 1; ; failures++) {
    try {
      return await read(await request(url, { method: "POST", headers, body, signal }));
    } catch (error) {
      if (isFinal(error) || signal.aborted) throw error;
      const waitMs = backOffMs(failures, 1000, error.retryMs);
      call(onRetry, error, waitMs);
      await sleep(waitMs, signal);
    }
  }
}

export async function cancel({ url, ...options }) {
  return command(`${required(url)}/cancel`, {}, options);
}

export async function resume({ url, review, approve, feedback = "", ...options }) {
  return command(`${required(url)}/resume`, { review, approve, feedback }, options);
}

export async function upload({ file, url = "/v1/inputs", ...options }) {
  const request = requester(options);
  return (await request(url, { method: "POST", body: file, signal: options.signal })).json();
}

/** Return the address of a flow; `links.self` of what was no answer to a launch is undefined. */
function required(url) {
  if (!url) throw new TypeError("url is missing: the address of a flow, such as /v1/flows/fl_1");
  return url;
}

async function command(url, content, options) {
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify(content);
  const sent = { method: "POST", headers, body, signal: options.signal };
  return (await requester(options)(url, sent)).json();
}

// Following

export function follow({ url, replay, heartbeat = 15, grace = 30, ...options }) {
  const { href } = new URL(required(url), location);
  const base = new URL(".", href).href; // the API, which all flows of all tabs share
  const flow = href.slice(base.length);
  const storageKey = `crewline:${href}`;
  const request = requester(options);
  let resolve, reject;
  const done = new Promise((...both) => ([resolve, reject] = both));
  const following = new AbortController();
  const startedMs = Date.now();

  // What this follower has seen of its own flow.
  let [cursor, state, ended] = (!replay && load("sessionStorage", storageKey)) || [""];
  let requestedCursor; // from which a page was asked for last

  // Its part among the followers of this API, in this tab and others.
  let joined; // aborts what `join` began; undefined while the page is hidden
  let channel;
  let hiddenTimer;

  // The leader's part: one follower asks for all.
  let cursors; // flow -> the cursor from which it is wanted; only the leader has it
  let connection; // aborts the present connection, with the reason
  let flows; // that are asked for over the present connection
  let lastStatus;
  let receivedCount; // signs of life of the present connection; 1: bytes, more: entries
  let eventId;
  let mode = "stream";
  let fallback = [];
  let failuresInMode = 0;
  let retryMs = 1000;
  const etags = {};

  // Messages among followers, on the channel and to oneself.
  const onMessage = {
    /** A follower wants a flow from a cursor. Without a flow: the leader asks who wants what. */
    want(other, from) {
      if (!other) return post("want", flow, cursor);
      if (!cursors) return;
      if (connection) post("connection", lastStatus);
      if (from === cursors[other] || distance(from, cursors[other] ?? "") <= 0) return;
      if (!connection) cursors[other] = from;
      else if (!flows.includes(other)) endConnection("changed");
      else fetchPage(other, from, connection.signal, 0).catch(() => connection && endConnection("changed"));
    },

    /** The leader publishes what came of a flow after the cursor `from`. */
    entries(other, entries, from) {
      if (other !== flow) return;
      const gap = apply(entries, from);
      if (gap && requestedCursor !== cursor) post("want", flow, (requestedCursor = cursor));
      if (ended) finish();
    },

    /** The leader may not read a flow: its follower asks for it alone. */
    refused(other) {
      if (other !== flow || cursors) return;
      disconnect("paused");
      join(randomId());
    },

    connection(status) {
      call(options.onConnection, { mode, cursor, leading: !!cursors, ...status });
    },
  };

  function post(name, ...values) {
    channel.postMessage([name, ...values]);
    onMessage[name](...values);
  }

  /** Hand on what is new, in order; return true where something between is missing. */
  function apply(entries, from) {
    const before = state;
    for (const [id, event] of entries) {
      const steps = distance(cursor, id);
      if (steps <= 0 || following.signal.aborted) continue;
      if (steps !== 1 && (from !== cursor || !event.snapshot)) return true;
      cursor = id;
      if (event.snapshot) state = event.snapshot;
      if (event.type === "STATE_DELTA" && state) state = patched(state, event.delta);
      ended = /^RUN_(FINISHED|ERROR)$/.test(event.type);
      call(options.onEvent, event, id);
    }
    save("sessionStorage", storageKey, [cursor, state, ended]);
    if (state !== before) call(options.onState, state);
  }

  function finish(error) {
    if (following.signal.aborted) return;
    disconnect(error ? "failed" : "ended", error);
    following.abort();
    error ? reject(error) : resolve(state);
  }

  function disconnect(phase, error) {
    joined?.abort();
    connection?.abort();
    channel?.close();
    joined = cursors = undefined;
    onMessage.connection({ phase, error });
  }

  function onVisibility() {
    clearTimeout(hiddenTimer);
    const pause = () => joined && disconnect("paused");
    if (document.hidden) hiddenTimer = setTimeout(pause, grace * 1000);
    else if (!joined && !following.signal.aborted) join(navigator.locks ? base : randomId());
  }

  /** Join the followers of this name; whoever of them gets the lock leads. */
  function join(name) {
    const { signal } = (joined = new AbortController());
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data: [kind, ...values] }) => onMessage[kind](...values);
    const elected = () => lead(signal);
    (navigator.locks?.request(name, { signal }, elected) ?? elected()).catch(() => {});
    onMessage.want();
  }

  // Leading

  const announce = (phase, more) => post("connection", (lastStatus = { phase, mode, ...more }));

  /** End the present connection, now or later; return the timer. */
  const endConnection = (reason, ms) => setTimeout((one) => one.abort(reason), ms, connection);

  async function lead(signal) {
    for (let failures = 0, waitMs = 0; !signal.aborted; ) {
      cursors = {};
      connection = undefined;
      post("want");
      await sleep(waitMs + ROLL_CALL_MS, signal);
      if (signal.aborted) return;
      const [kept, until] = load("localStorage", "crewline") ?? fallback;
      mode = Date.now() < until ? kept : "stream";
      flows = Object.keys(cursors).sort(() => Math.random() - 0.5);
      connection = new AbortController();
      if (flows.splice(FLOWS_PER_STREAM).length) endConnection("changed", ROTATE_MS);
      receivedCount = waitMs = 0;
      let error;
      announce("connecting");
      try {
        waitMs = await connect(mode, connection.signal, LONG_POLL_SECONDS);
      } catch (caught) {
        error = connection.signal.reason ?? caught;
      }
      connection.abort();
      if (error === "changed") continue;
      await maybeFallBack(error, signal).catch(() => {});
      if (signal.aborted) return;
      failures = receivedCount > 1 ? 0 : failures + 1;
      waitMs ||= backOffMs(failures, retryMs, error?.retryMs);
      announce("waiting", { until: Date.now() + waitMs, error });
    }
  }

  /** Take the next worse way of asking, if this one fails and that one works. */
  async function maybeFallBack(error, signal) {
    const next = FALLBACK[mode];
    const silent = error === "silence";
    const full = error?.status === TOO_MANY;
    const heard = receivedCount;
    const before = cursors[flow];
    if (!next || !error || (error.retryMs && !full) || (heard && !silent)) return (failuresInMode = 0);
    await connect(next, signal, 0);
    const newsWasHeldBack = silent && !heard && cursors[flow] !== before;
    if (newsWasHeldBack || full) failuresInMode = FAILURES_BEFORE_FALLBACK;
    if (++failuresInMode < FAILURES_BEFORE_FALLBACK) return;
    failuresInMode = 0;
    save("localStorage", "crewline", (fallback = [next, Date.now() + FALLBACK_MS]));
  }

  function publish(other, entries, from) {
    if (!entries.length) return;
    receivedCount += 2;
    cursors[other] = entries.at(-1)[0];
    post("entries", other, entries, from);
  }

  /** Ask once for all flows; return after how many milliseconds to ask again (stream: nothing). */
  async function connect(way, signal, seconds) {
    if (way === "stream") return stream(signal);
    const waits = [LONGEST_WAIT_MS];
    for (const one of flows) {
      try {
        const headers = { "if-none-match": etags[one] };
        const answer = way === "poll" && (await get(one, headers, signal, 0));
        if (answer || flows.length > 1) seconds = 0;
        if (answer.status === 304) waits.push(answer.retryMs);
        else waits.push(await fetchPage(one, cursors[one], signal, seconds));
        etags[one] = answer.headers?.get("etag");
        receivedCount += 2;
      } catch (error) {
        const maySoonAppear = error.status === 404 && Date.now() < startedMs + APPEAR_MS;
        if (!isFinal(error) || maySoonAppear) throw error;
        if (one === flow) finish(error);
        else post("refused", one);
      }
    }
    return Math.min(...waits);
  }

  async function stream(signal) {
    let rest = "";
    let silence = endConnection("silence", heartbeat * 500);
    const headers = { "last-event-id": flows.map((one) => cursors[one] || "-").join("~") };
    const answer = await get(`../events?flows=${flows}`, headers, signal, STREAM_SECONDS);
    if (!/event-stream/.test(answer.headers.get("content-type"))) throw new Error("no stream");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return readRetry(rest);
      clearTimeout(silence);
      silence = endConnection("silence", heartbeat * 2000);
      if (!receivedCount++) announce("live");
      const blocks = (rest + value).split(/(?:\r\n|\n|\r(?!\n)){2}/);
      rest = blocks.pop();
      blocks.forEach(onBlock);
    }
  }

  /** One block of a server-sent event stream, as the HTML standard parses it. */
  function onBlock(block) {
    const data = [];
    for (const line of block.split(/\r\n?|\n/)) {
      const [name, value = ""] = line.split(/: ?(.*)/s);
      if (name === "data") data.push(value);
      if (name === "id" && !value.includes("\0")) eventId = value;
    }
    readRetry(block);
    if (!data[0]) return;
    const { flow: one, event } = JSON.parse(data.join("\n"));
    publish(one, [[eventId.split("~")[flows.indexOf(one)], event]], cursors[one]);
  }

  /** Heed how long to wait; the line counts where the stream ends without another event, too. */
  function readRetry(text) {
    retryMs = +/^retry: ?(\d+)[\r\n]/m.exec(text + "\n")?.[1] || retryMs;
  }

  async function fetchPage(one, from, signal, seconds) {
    const headers = { prefer: `wait=${seconds}` };
    const answer = await get(`${one}/events?after=${from || 0}`, headers, signal, seconds);
    const { events, snapshot, more, cursor: last } = await read(answer);
    let [incarnation, number] = last.split(".");
    number -= events.length;
    const entries = events.map((event) => [`${incarnation}.${++number}`, event]);
    if (snapshot) entries.push([last, { type: "STATE_SNAPSHOT", snapshot }]);
    publish(one, entries, from);
    if (more) return fetchPage(one, last, signal, seconds);
    return answer.headers.has("preference-applied") ? ROLL_CALL_MS : answer.retryMs;
  }

  const get = (path, headers, signal, seconds) =>
    request(base + path, { headers, signal: within(signal, (seconds + ANSWER_SECONDS) * 1000) });

  done.catch(() => {});
  addEventListener("visibilitychange", onVisibility, following);
  queueMicrotask(() => {
    if (state) call(options.onState, state);
    if (ended) finish();
    onVisibility();
  });
  return { done, stop: () => finish() };
}

// Requests

/** Return a fetch that brings the token, asks for a new one once, and throws what is no success. */
function requester({ token, fetch = globalThis.fetch }) {
  const newToken = typeof token === "function" ? token : () => token;
  let bearer;
  return async function request(url, init, mayRenew = typeof token === "function") {
    bearer ??= await newToken();
    const headers = { ...init.headers, ...(bearer && { authorization: `Bearer ${bearer}` }) };
    const sent = new Request(new URL(url, globalThis.location?.href), { ...init, headers }); // throws on mistakes
    const answer = await fetch(sent.url, { ...init, headers }).catch(networkFailed);
    const { ok, status } = answer;
    const retryMs = (answer.retryMs = answer.headers.get("retry-after") * 1000 || 0);
    if (ok || status === 304) return answer;
    if (status === 401 && mayRenew) {
      bearer = undefined;
      return request(url, init, false);
    }
    const problem = await answer.json().catch(() => ({}));
    const { detail, title = `HTTP ${status}`, errors = [] } = problem;
    const fields = errors.map((error) => `\n${error.pointer}: ${error.detail}`);
    const error = new Error((detail ?? title) + fields.join(""));
    throw Object.assign(error, { status, problem, retryMs });
  };
}

const networkFailed = (error) => {
  throw Object.assign(error, { network: true });
};

/** Return the JSON of an answer; one that is cut off, or comes from somebody else, is the network's. */
const read = (answer) => answer.json().catch(networkFailed);

/** Whether asking again is no use: the server refused, or the caller made a mistake. */
function isFinal({ status, network, name } = {}) {
  if (status) return status < 500 && ![408, TOO_MANY].includes(status);
  return !network && /^(?!Abort|Timeout|Network)\w+Error$/.test(name);
}

const within = (signal, ms) => AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(ms))]);

/** Not by `within`: Node keeps no program alive for such a signal, and may collect it before its time. */
const sleep = (ms, signal) =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });

const randomId = () => `${Date.now()}-${Math.random()}`;

/** Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ */
const backOffMs = (failures, base, least = 0) =>
  Math.round(Math.max(least, Math.random() * Math.min(LONGEST_WAIT_MS, base * 2 ** failures)));

// Cursors, states, listeners, storage

/** How many events `id` is after `cursor`; NaN where they are of different lives of a flow. */
function distance(cursor, id) {
  const [from, last = 0] = cursor.split(".");
  const [incarnation, number] = id.split(".");
  return cursor && from !== incarnation ? NaN : number - last;
}

/** Apply a JSON Patch (RFC 6902) of the operations that the server sends: add, replace, remove. */
function patched(state, operations) {
  const root = { "": structuredClone(state) };
  for (const { op, path, value } of operations) {
    const keys = path.split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = keys.pop();
    const parent = keys.reduce((node, part) => node[part], root);
    const list = Array.isArray(parent);
    if (list && op === "add") parent.splice(last === "-" ? Infinity : last, 0, value);
    else if (op !== "remove") parent[last] = value;
    else if (list) parent.splice(last, 1);
    else delete parent[last];
  }
  return root[""];
}

/** Call a listener; what it throws is reported and stops nothing. */
function call(listener, ...values) {
  try {
    listener?.(...values);
  } catch (error) {
    (globalThis.reportError ?? console.error)(error);
  }
}

function load(area, key) {
  try {
    return JSON.parse(globalThis[area].getItem(key));
  } catch {}
}

function save(area, key, value) {
  try {
    globalThis[area].removeItem(key); // a full store keeps no old value in its place
    globalThis[area].setItem(key, JSON.stringify(value));
  } catch {}
}
