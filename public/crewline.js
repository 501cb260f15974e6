// Follow flows: see crewline.d.ts.
const HOLD_SECONDS = 25;
const ANSWER_SECONDS = 10;
const BREATH_MS = 50;
const TURN_MS = 5000;
const CAP_MS = 30_000;
const LONG_SECONDS = 300;
const STRIKES = 5;
const TOGETHER = 20;
const LESSER = { stream: "longpoll", longpoll: "poll" };

export async function launch({ crew, inputs, url = "/v1/flows", key = uid(), token, fetch, signal }) {
  const ask = requester(token, fetch);
  signal ??= AbortSignal.any([]);
  const headers = { "content-type": "application/json", "idempotency-key": key };
  const body = JSON.stringify({ crew, inputs });
  for (let failures = 1; ; failures++) {
    try {
      return await (await ask(url, { method: "POST", headers, body, signal })).json();
    } catch (error) {
      if (refused(error) || signal.aborted) throw error;
      await sleep(backOff(failures, 1000, error.retryMs), signal);
    }
  }
}

export function follow({ url, token, fetch, replay, heartbeat = 15, grace = 30, ...listeners }) {
  const { href } = new URL(url, location);
  const base = new URL(".", href).href;
  const flow = href.slice(base.length);
  const key = `crewline:${href}`;
  const ask = requester(token, fetch);
  const { promise: done, resolve, reject } = Promise.withResolvers();
  const life = new AbortController();
  const etags = {};
  let [cursor, state, ended] = (!replay && stored("sessionStorage", key)) || [""];
  let active, asked, channel, connection, flows, hiding, id, last, signs, wants;
  let lesser = [];
  let mode = "stream";
  let retryMs = 1000;
  let strikes = 0;

  const hear = {
    want(one, from) {
      if (!one) return post("want", flow, cursor);
      if (!wants) return;
      if (connection) post("connection", last);
      if (from === wants[one] || distance(from, wants[one] ?? "") <= 0) return;
      if (!connection) wants[one] = from;
      else if (!flows.includes(one)) end("changed");
      else page(one, from, connection.signal, 0).catch(() => connection && end("changed"));
    },

    entries(one, entries, from) {
      if (one !== flow) return;
      if (take(entries, from) && asked !== cursor) post("want", flow, (asked = cursor));
      if (ended) finish();
    },

    refused(one) {
      if (one !== flow || wants) return;
      leave("paused");
      share(uid());
    },

    connection(told) {
      call(listeners.onConnection, { mode, cursor, leading: !!wants, ...told });
    },
  };

  function take(entries, from) {
    const before = state;
    for (const [id, event] of entries) {
      const steps = distance(cursor, id);
      if (steps <= 0 || life.signal.aborted) continue;
      if (steps !== 1 && (from !== cursor || !event.snapshot)) return true;
      cursor = id;
      if (event.snapshot) state = event.snapshot;
      if (event.type === "STATE_DELTA" && state) state = patched(state, event.delta);
      const news = event.snapshot?.status ?? event.type;
      ended = /RUN_(FINISHED|ERROR)|succeeded|failed|cancelled/.test(news);
      call(listeners.onEvent, event, id);
    }
    stored("sessionStorage", key, [cursor, state, ended]);
    if (state !== before) call(listeners.onState, state);
  }

  function finish(error) {
    if (life.signal.aborted) return;
    leave(error ? "failed" : "ended", error);
    life.abort();
    error ? reject(error) : resolve(state);
  }

  function leave(phase, error) {
    active?.abort();
    connection?.abort();
    channel?.close();
    active = wants = undefined;
    hear.connection({ phase, error });
  }

  function turn() {
    const pause = () => active && leave("paused");
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(pause, grace * 1000);
    else if (!active && !life.signal.aborted) share(navigator.locks ? base : uid());
  }

  function share(name) {
    const { signal } = (active = new AbortController());
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data: [name, ...values] }) => hear[name](...values);
    const run = () => lead(signal);
    (navigator.locks?.request(name, { signal }, run) ?? run()).catch(() => {});
    hear.want();
  }

  function post(name, ...values) {
    channel.postMessage([name, ...values]);
    hear[name](...values);
  }

  const announce = (phase, more) => post("connection", (last = { phase, mode, ...more }));

  const end = (reason, ms) => setTimeout((one) => one.abort(reason), ms, connection);

  async function lead(signal) {
    for (let failures = 0, waitMs = 0; !signal.aborted; ) {
      wants = {};
      connection = undefined;
      post("want");
      await sleep(waitMs + BREATH_MS, signal);
      if (signal.aborted) return;
      const [kept, until] = stored("localStorage", "crewline") ?? lesser;
      mode = Date.now() < until ? kept : "stream";
      flows = Object.keys(wants).sort(() => Math.random() - 0.5);
      connection = new AbortController();
      if (flows.splice(TOGETHER).length) end("changed", TURN_MS);
      signs = waitMs = 0;
      let error;
      announce("connecting");
      try {
        waitMs = await connect(mode, connection.signal, HOLD_SECONDS);
      } catch (caught) {
        error = connection.signal.reason ?? caught;
      }
      connection.abort();
      if (error === "changed") continue;
      await judge(error, signal).catch(() => {});
      if (signal.aborted) return;
      failures = signs > 1 ? 0 : failures + 1;
      waitMs ||= backOff(failures, retryMs, error?.retryMs);
      announce("waiting", { until: Date.now() + waitMs, error });
    }
  }

  async function judge(error, signal) {
    const next = LESSER[mode];
    const silent = error === "silence";
    const heard = signs;
    const before = wants[flow];
    if (!next || !error || error.retryMs || (heard && !silent)) return (strikes = 0);
    await connect(next, signal, 0);
    if (silent && !heard && wants[flow] !== before) strikes = STRIKES;
    if (++strikes < STRIKES) return;
    strikes = 0;
    stored("localStorage", "crewline", (lesser = [next, Date.now() + LONG_SECONDS * 1000]));
  }

  function pass(one, entries, from) {
    if (!entries.length) return;
    signs += 2;
    wants[one] = entries.at(-1)[0];
    post("entries", one, entries, from);
  }

  async function connect(way, signal, seconds) {
    if (way === "stream") return stream(signal);
    const waits = [CAP_MS];
    for (const one of flows) {
      try {
        const headers = { "if-none-match": etags[one] };
        const state = way === "poll" && (await get(one, headers, signal, 0));
        if (state || flows.length > 1) seconds = 0;
        if (state.status === 304) waits.push(state.retryMs);
        else waits.push(await page(one, wants[one], signal, seconds));
        etags[one] = state.headers?.get("etag");
        signs += 2;
      } catch (error) {
        if (!refused(error)) throw error;
        if (one === flow) finish(error);
        else post("refused", one);
      }
    }
    return Math.min(...waits);
  }

  async function stream(signal) {
    let rest = "";
    let timer = end("silence", heartbeat * 500);
    const headers = { "last-event-id": flows.map((one) => wants[one] || "-").join("~") };
    const answer = await get(`../events?flows=${flows}`, headers, signal, LONG_SECONDS);
    if (!/event-stream/.test(answer.headers.get("content-type"))) throw new Error("no stream");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = end("silence", heartbeat * 2000);
      if (!signs++) announce("live");
      const blocks = (rest + value).split(/(?:\r\n|\n|\r(?!\n)){2}/);
      rest = blocks.pop();
      blocks.forEach(parse);
    }
  }

  function parse(block) {
    const data = [];
    for (const line of block.split(/\r\n?|\n/)) {
      const [name, value = ""] = line.split(/: ?(.*)/s);
      if (name === "data") data.push(value);
      if (name === "id" && !value.includes("\0")) id = value;
      if (name === "retry") retryMs = +value || retryMs;
    }
    if (!data[0]) return;
    const { flow: one, event } = JSON.parse(data.join("\n"));
    pass(one, [[id.split("~")[flows.indexOf(one)], event]], wants[one]);
  }

  async function page(one, from, signal, seconds) {
    const headers = { prefer: `wait=${seconds}` };
    const answer = await get(`${one}/events?after=${from || 0}`, headers, signal, seconds);
    const { events, snapshot, more, cursor: id } = await answer.json();
    let [incarnation, number] = id.split(".");
    number -= events.length;
    const entries = events.map((event) => [`${incarnation}.${++number}`, event]);
    if (snapshot) entries.push([id, { type: "STATE_SNAPSHOT", snapshot }]);
    pass(one, entries, from);
    if (more) return page(one, id, signal, seconds);
    return answer.headers.has("preference-applied") ? BREATH_MS : answer.retryMs;
  }

  const get = (path, headers, signal, seconds) =>
    ask(base + path, { headers, signal: limit(signal, (seconds + ANSWER_SECONDS) * 1000) });

  done.catch(() => {});
  addEventListener("visibilitychange", turn, life);
  queueMicrotask(() => {
    if (state) call(listeners.onState, state);
    if (ended) finish();
    turn();
  });
  return { done, stop: () => finish() };
}

const limit = (signal, ms) => AbortSignal.any([signal, AbortSignal.timeout(ms)]);

const sleep = (ms, signal) => new Promise((resolve) => (limit(signal, ms).onabort = resolve));

const uid = () => `${Date.now()}-${Math.random()}`;

const refused = (error) => error?.status < 500 && ![408, 429].includes(error.status);

const backOff = (failures, base, least = 0) =>
  Math.max(least, Math.random() * Math.min(CAP_MS, base * 2 ** failures));

function distance(cursor, id) {
  const [from, last = 0] = cursor.split(".");
  const [incarnation, number] = id.split(".");
  return cursor && from !== incarnation ? NaN : number - last;
}

function requester(token, fetch = globalThis.fetch) {
  let bearer;
  return async function ask(url, request, again = token) {
    bearer ??= await token?.();
    const headers = { ...request.headers, ...(bearer && { authorization: `Bearer ${bearer}` }) };
    const answer = await fetch(url, { ...request, headers });
    const { ok, status } = answer;
    const retryMs = (answer.retryMs = answer.headers.get("retry-after") * 1000);
    if (ok || status === 304) return answer;
    if (status === 401 && again) {
      bearer = undefined;
      return ask(url, request, false);
    }
    const problem = await answer.json().catch(() => ({}));
    const error = new Error(problem.detail ?? `HTTP ${status}`);
    throw Object.assign(error, { status, problem, retryMs });
  };
}

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

function call(listener, ...values) {
  try {
    listener?.(...values);
  } catch (error) {
    reportError(error);
  }
}

function stored(area, key, value) {
  try {
    const box = globalThis[area];
    if (!value) return JSON.parse(box.getItem(key));
    box.removeItem(key);
    box.setItem(key, JSON.stringify(value));
  } catch {}
}
