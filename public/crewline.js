// Launch and follow Crewline flows: crewline.d.ts says what, and why.
const HOLD_SECONDS = 25;
const ANSWER_SECONDS = 10;
const BREATH_MS = 100;
const CAP_MS = 30_000;
const LESSER_MS = 300_000;
const STRIKES = 5;
const LESSER = { stream: "longpoll", longpoll: "poll" };

export function launch({ crew, inputs, url = "/v1/flows", key = nonce(), token, fetch, signal }) {
  const ask = requester(token, fetch);
  const headers = { "content-type": "application/json", "idempotency-key": key };
  const body = JSON.stringify({ crew, inputs });
  const attempt = async () => (await ask(url, { method: "POST", headers, body, signal })).json();
  return insist(attempt, signal);
}

export function follow({ url, token, fetch, replay, heartbeat = 15, grace = 30, ...listeners }) {
  const { href } = new URL(url, location);
  const key = `crewline:${href}`;
  const ask = requester(token, fetch);
  const channel = new BroadcastChannel(key);
  const { promise: done, resolve, reject } = Promise.withResolvers();
  const life = new AbortController();
  const ways = { stream, longpoll, poll };
  let [cursor, state] = (!replay && stored("sessionStorage", key)) || [""];
  let active, behind, etag, filling, heard, hiding, lesser, moved, shown, silent, version;
  let leading = false;
  let mode = "stream";
  let retryMs = 1000;

  function take(entries, mayLeap) {
    const before = state;
    const fresh = [];
    let gap;
    for (const [id, event] of entries) {
      const steps = distance(cursor, id);
      if (steps <= 0 || life.signal.aborted) continue;
      gap = steps !== 1 && !(mayLeap && event.snapshot);
      if (gap) break;
      if (isNaN(steps)) version = 0;
      cursor = id;
      if (event.snapshot) state = event.snapshot;
      if (event.type === "STATE_DELTA" && state) state = patched(state, event.delta);
      fresh.push([id, event]);
      call(listeners.onEvent, event, id);
    }
    if (fresh.length) {
      moved = true;
      stored("sessionStorage", key, [cursor, state]);
      if (leading) channel.postMessage({ entries: fresh });
    }
    if (state !== before) show(state);
    if (/^RUN_(FINISHED|ERROR)/.test(fresh.at(-1)?.[1].type)) finish();
    if (gap) throw new Error("event missing");
  }

  function show(next) {
    if (!next || next.version < version) return;
    version = next.version;
    call(listeners.onState, (shown = next));
  }

  function tell(phase, more) {
    const connection = { phase, mode, cursor, ...more };
    call(listeners.onConnection, { ...connection, leading });
    if (leading) channel.postMessage({ connection });
  }

  function finish(error) {
    if (life.signal.aborted) return;
    leading = false;
    tell(error ? "failed" : "ended", { error });
    life.abort();
    active?.abort();
    channel.close();
    error ? reject(error) : resolve(shown);
  }

  function turn({ type }) {
    clearTimeout(hiding);
    if (type === "pagehide") pause();
    else if (document.hidden) hiding = setTimeout(pause, grace * 1000);
    else if (!active && !life.signal.aborted) share((active = new AbortController()).signal);
  }

  function pause() {
    if (life.signal.aborted) return;
    active?.abort();
    active = undefined;
    leading = false;
    tell("paused");
  }

  async function share(signal) {
    const run = () => lead(signal);
    (navigator.locks?.request(key, { signal }, run) ?? run()).catch(() => {});
    await sleep(100, signal);
    if (leading || signal.aborted) return;
    tell("shared");
    fill(signal);
  }

  channel.onmessage = ({ data: { entries, connection } }) => {
    if (!active) return;
    if (connection && !leading) call(listeners.onConnection, { ...connection, leading: false });
    try {
      if (entries) take(entries);
    } catch {
      fill(active.signal);
    }
  };

  async function fill(signal) {
    behind = true;
    if (filling) return;
    filling = true;
    while (behind && !leading && !signal.aborted) {
      behind = false;
      await insist(() => longpoll(signal, 0), signal).catch((error) => signal.aborted || finish(error));
    }
    filling = false;
  }

  async function lead(signal) {
    leading = true;
    for (let failures = 0, strikes = 0; ; ) {
      let error, waitMs;
      const [kept, until] = stored("localStorage", "crewline") ?? lesser ?? [];
      mode = Date.now() < until ? kept : "stream";
      heard = moved = silent = false;
      tell("connecting");
      try {
        waitMs = await ways[mode](signal, HOLD_SECONDS);
      } catch (caught) {
        error = caught;
      }
      if (refused(error)) finish(error);
      if (!signal.aborted) strikes = await judge(error, strikes, signal);
      if (signal.aborted) return;
      failures = moved ? 0 : failures + 1;
      waitMs ||= backOff(failures, retryMs, error?.retryMs);
      tell("waiting", { until: Date.now() + waitMs, error });
      await sleep(waitMs, signal);
      if (signal.aborted) return;
    }
  }

  async function judge(error, strikes, signal) {
    const next = LESSER[mode];
    const [worked, before] = [heard, cursor];
    if (!next || !error || error.retryMs || (worked && !silent)) return 0;
    try {
      await ways[next](signal, 0);
    } catch {
      return strikes;
    }
    const buffered = silent && !worked && cursor !== before;
    if (!buffered && ++strikes < STRIKES) return strikes;
    stored("localStorage", "crewline", (lesser = [next, Date.now() + LESSER_MS]));
    return 0;
  }

  async function stream(signal) {
    const cut = new AbortController();
    let timer;
    const expect = (seconds) => {
      clearTimeout(timer);
      timer = setTimeout(() => cut.abort((silent = true)), seconds * 1000);
    };
    expect(heartbeat / 2);
    try {
      const headers = { accept: "text/event-stream", ...(cursor && { "last-event-id": cursor }) };
      const answer = await get("/events", headers, signal, cut.signal);
      if (answer.status === 204) return finish();
      if (!/event-stream/.test(answer.headers.get("content-type"))) throw new Error("no stream");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const parse = parser((ms) => (retryMs = ms));
      for (let reads = 0; ; reads++) {
        const { done, value } = await reader.read();
        if (done) return;
        expect(heartbeat * 2);
        heard = true;
        if (reads) moved = true;
        else tell("live");
        take(parse(value), true);
      }
    } finally {
      clearTimeout(timer);
      cut.abort();
    }
  }

  async function longpoll(signal, seconds) {
    const headers = { accept: "application/json", prefer: `wait=${seconds}` };
    const answer = await get(`/events?after=${cursor || 0}`, headers, signal, limit(seconds));
    const { events, snapshot, status, more, cursor: id } = await answer.json();
    const [incarnation, last] = id.split(".");
    const before = last - events.length;
    const entries = events.map((event, at) => [`${incarnation}.${before + at + 1}`, event]);
    if (snapshot) entries.push([id, { type: "STATE_SNAPSHOT", snapshot }]);
    heard = moved = true;
    take(entries, true);
    if (more) return longpoll(signal, seconds);
    if (/succeeded|failed|cancelled/.test(status)) finish();
    return answer.headers.has("preference-applied") ? BREATH_MS : answer.retryMs;
  }

  async function poll(signal) {
    const headers = etag && { "if-none-match": etag };
    const answer = await get("", headers, signal, limit(0));
    moved = true;
    if (answer.status === 200) {
      show(await answer.json());
      await longpoll(signal, 0);
      etag = answer.headers.get("etag");
    }
    return answer.retryMs;
  }

  const get = (path, headers, ...signals) =>
    ask(href + path, { headers, signal: AbortSignal.any(signals) });

  done.catch(() => {});
  for (const type of ["visibilitychange", "pagehide"]) addEventListener(type, turn, life);
  queueMicrotask(() => {
    show(state);
    turn({});
  });
  return { done, stop: () => finish() };
}

const limit = (seconds) => AbortSignal.timeout((seconds + ANSWER_SECONDS) * 1000);

const nonce = () => crypto.getRandomValues(new Uint32Array(4)).join();

const refused = (error) => error?.status < 500 && ![408, 429].includes(error.status);

const backOff = (failures, base, least = 0) =>
  Math.max(least, Math.random() * Math.min(CAP_MS, base * 2 ** failures));

async function insist(attempt, signal) {
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (refused(error) || signal?.aborted) throw error;
      await sleep(backOff(failures, 1000, error.retryMs), signal);
    }
  }
}

function distance(cursor, id) {
  const [from, last] = cursor.split(".");
  const [incarnation, number] = id.split(".");
  return cursor && from !== incarnation ? NaN : number - (last ?? 0);
}

function requester(token, fetch = globalThis.fetch) {
  let bearer;
  return async function ask(url, request, again = token) {
    bearer ??= await token?.();
    const authorization = bearer && { authorization: `Bearer ${bearer}` };
    const answer = await fetch(url, { ...request, headers: { ...request.headers, ...authorization } });
    const { ok, status } = answer;
    const retryMs = answer.headers.get("retry-after") * 1000;
    if (ok || status === 304) return Object.assign(answer, { retryMs });
    if (status === 401) bearer = undefined;
    if (status === 401 && again) return ask(url, request, false);
    const problem = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(problem.detail ?? `HTTP ${status}`), { status, problem, retryMs });
  };
}

function parser(onRetry) {
  let rest = "";
  let id = "";
  let returned;
  const event = (block) => {
    const data = [];
    for (const line of block.split("\n")) {
      const [name, value = ""] = line.split(/: ?(.*)/s);
      if (name === "data") data.push(value);
      if (name === "id" && !value.includes("\0")) id = value;
      if (name === "retry" && /^\d+$/.test(value)) onRetry(+value);
    }
    return data[0] ? [[id, JSON.parse(data.join("\n"))]] : [];
  };
  return (text) => {
    const more = returned ? text.replace(/^\n/, "") : text;
    const blocks = (rest + more.replace(/\r\n?/g, "\n")).split("\n\n");
    returned = text.endsWith("\r");
    rest = blocks.pop();
    return blocks.flatMap(event);
  };
}

function patched(state, operations) {
  const root = { "": structuredClone(state) };
  for (const { op, path, value } of operations) {
    const keys = path.split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = keys.pop();
    const parent = keys.reduce((node, part) => node[part], root);
    const values = op === "remove" ? [] : [value];
    if (Array.isArray(parent) && op !== "replace") {
      parent.splice(last === "-" ? Infinity : last, 1 - values.length, ...values);
    } else if (values.length) parent[last] = value;
    else delete parent[last];
  }
  return root[""];
}

function sleep(ms, signal) {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal?.addEventListener("abort", wake);
  });
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
