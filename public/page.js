// The page: choose a crew, launch it, watch it. All that comes from a flow is set as text.
import { follow, launch } from "./crewline.js";

const INLINE_BYTES = 4 * 1024 ** 2;
const PHASES = {
  connecting: "connecting",
  live: "live",
  waiting: "reconnecting",
  paused: "paused while hidden",
  ended: "ended",
  failed: "failed",
};
const ENDED = ["succeeded", "failed", "cancelled"];
const WAYS = { stream: "streaming", longpoll: "long polling", poll: "polling" };

const at = (id) => document.getElementById(id);
const token = () => at("token").value.trim();
const number = new Intl.NumberFormat("en");

let crews = [];
let watching;
let connection;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

async function ask(path, request = {}) {
  const headers = { authorization: `Bearer ${token()}`, ...request.headers };
  const answer = await fetch(path, { ...request, headers });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail ?? body.title ?? `HTTP ${answer.status}`);
  return body;
}

async function attempt(work) {
  at("problem").textContent = "";
  try {
    await work();
  } catch (error) {
    at("problem").textContent = error.message;
  }
}

// The order: a form made from the JSON Schema of the crew's inputs.

async function showCrews() {
  sessionStorage.token = token();
  crews = token() ? (await ask("/v1/crews")).crews : [];
  at("crew").replaceChildren(...crews.map(({ name }) => element("option", { textContent: name })));
  at("crew").disabled = at("launch").disabled = !crews.length;
  showInputs();
  if (crews.length) await showRecent();
}

function showInputs() {
  const crew = crews.find(({ name }) => name === at("crew").value);
  at("description").textContent = crew?.description ?? "";
  const { properties = {}, required = [] } = crew?.inputs ?? {};
  const fields = Object.entries(properties).map((pair) => [pair[0], field(...pair, required)]);
  const optional = fields.filter(([name]) => !required.includes(name)).map(([, made]) => made);
  const wanted = fields.filter(([name]) => required.includes(name)).map(([, made]) => made);
  const more = element("details", {}, element("summary", { textContent: "More inputs" }), ...optional);
  at("inputs").replaceChildren(...wanted, ...(optional.length ? [more] : []));
}

function field(name, schema, required) {
  const hint = element("p", { id: `hint-${name}`, className: "hint", textContent: schema.description ?? "" });
  const input = control(name, schema);
  Object.assign(input, { id: `input-${name}`, name, required: required.includes(name) });
  input.setAttribute("aria-describedby", hint.id);
  input.dataset.type = name === "file" ? "file" : (schema.type ?? "string");
  return element("div", {}, element("label", { htmlFor: input.id, textContent: name }), input, hint);
}

function control(name, schema) {
  if (name === "file") return element("input", { type: "file", accept: ".csv,.tsv,.txt,.dsv,text/*" });
  if (schema.enum) {
    return element("select", {}, ...schema.enum.map((value) => element("option", { textContent: value })));
  }
  if (schema.maxLength > 1000) return element("textarea", { rows: 3 });
  if (["object", "array"].includes(schema.type)) return element("textarea", { rows: 3, placeholder: "JSON" });
  return element("input", { type: ["number", "integer"].includes(schema.type) ? "number" : "text" });
}

async function value(input) {
  if (input.dataset.type === "file") return upload(input.files[0]);
  if (["string", undefined].includes(input.dataset.type)) return input.value;
  return JSON.parse(input.value);
}

async function upload(file) {
  if (file.size > INLINE_BYTES) throw new Error("this page uploads at most 4 MB; the API takes more");
  return (await ask("/v1/inputs", { method: "POST", body: file })).id;
}

async function order() {
  const inputs = {};
  for (const input of at("inputs").querySelectorAll("[name]")) {
    if (input.value) inputs[input.name] = await value(input);
  }
  const { id } = await launch({ crew: at("crew").value, inputs, token });
  location.hash = id;
  await showRecent();
}

async function cancel() {
  await ask(`/v1/flows/${encodeURIComponent(location.hash.slice(1))}/cancel`, { method: "POST" });
}

async function answer(approve) {
  const feedback = at("feedback").value.trim();
  if (!approve && !feedback) throw new Error("say what should be different, or approve");
  const body = JSON.stringify({ approve, feedback, review: at("review").dataset.asks });
  const headers = { "content-type": "application/json" };
  const path = `/v1/flows/${encodeURIComponent(location.hash.slice(1))}/resume`;
  await ask(path, { method: "POST", headers, body });
  at("feedback").value = "";
}

async function showRecent() {
  const { flows } = await ask("/v1/flows?limit=8");
  const lines = flows.map(({ id, crew, status, created_ms: created }) => {
    const when = element("time", { textContent: new Date(created).toLocaleTimeString() });
    const link = element("a", { href: `#${id}` }, element("b", { textContent: crew }), " ", when);
    return element("li", {}, link, pill(status));
  });
  at("recent").replaceChildren(...lines);
}

function pill(status) {
  return element("span", { className: `pill ${status}`, textContent: status });
}

// The flow: its state where things stand, its events as a feed.

function watch() {
  const id = location.hash.slice(1);
  watching?.stop();
  watching = undefined;
  at("empty").hidden = Boolean(id);
  at("watched").hidden = !id;
  if (!id || !token()) return;
  for (const name of ["feed", "steps", "output"]) at(name).replaceChildren();
  for (const name of ["error", "title", "status", "events"]) at(name).textContent = "";
  at("result").hidden = at("cancel").hidden = at("review").hidden = true;
  messages.clear();
  const url = `/v1/flows/${encodeURIComponent(id)}`;
  watching = follow({ url, token, replay: true, onEvent, onState, onConnection });
  const mine = watching;
  mine.done.then(
    () => mine === watching && token() && showRecent().catch(() => {}),
    (error) => mine === watching && (at("error").textContent = error.message),
  );
}

function onState(state) {
  const { crew, id, status, usage, steps, output, error, waiting } = state;
  at("title").replaceChildren(`${crew} `, element("small", { textContent: id }));
  at("status").className = `pill ${status}`;
  at("status").textContent = status;
  at("cancel").hidden = ENDED.includes(status);
  const unpriced = usage.unpriced_calls ? ` + ${usage.unpriced_calls} unpriced calls` : "";
  at("cost").textContent = `$${(usage.cost_nanodollars / 1e9).toFixed(6)}${unpriced}`;
  at("tokens-in").textContent = number.format(usage.input_tokens);
  at("tokens-out").textContent = number.format(usage.output_tokens);
  at("calls").textContent = number.format(usage.calls);
  at("error").textContent = error ?? "";
  review(waiting);
  at("steps").replaceChildren(...steps.map(step));
  at("result").hidden = output === null;
  if (output !== null) at("output").replaceChildren(table(output));
}

// The flow waits for a word: what it would go on with, and a form to approve it or send it back.
function review(waiting) {
  at("review").hidden = !waiting;
  if (!waiting || at("review").dataset.asks === waiting.review) return;
  at("review").dataset.asks = waiting.review;
  at("asked").textContent = `${waiting.agent} asks: is this right for ${waiting.task}?`;
  at("draft").replaceChildren(table(waiting.output));
}

function step({ id, title, agent, state, attempt: start, started_ms: from, finished_ms: to }) {
  const took = from && to ? `${((to - from) / 1000).toFixed(1)} s` : "";
  const again = start > 1 ? `start ${start}` : "";
  const notes = [agent, again, took, state].filter(Boolean).join(" · ");
  const mark = element("span", { className: "mark", ariaHidden: "true" });
  const name = element("b", { textContent: id });
  const about = element("small", { className: "about", textContent: title, title });
  return element("li", { className: state }, mark, name, about, element("small", { className: "notes", textContent: notes }));
}

function table(output) {
  const rows = Object.values(output ?? {}).find((entry) => Array.isArray(entry) && entry[0]?.constructor === Object);
  if (!rows) return element("pre", { textContent: typeof output === "string" ? output : JSON.stringify(output, null, 2) });
  const names = [...new Set(rows.flatMap(Object.keys))];
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col", textContent: name })));
  const lines = rows.map((row) => element("tr", {}, ...names.map((name) => cell(row[name]))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines));
}

function cell(content) {
  if (typeof content === "number") {
    return element("td", { className: "number", textContent: Number.isInteger(content) ? content : content.toFixed(2) });
  }
  const plain = typeof content === "string" ? content : JSON.stringify(content);
  return element("td", { textContent: content == null ? "–" : plain });
}

const messages = new Map(); // what is being said, by the id of its message

const SHOWN = {
  RUN_STARTED: () => note("flow", "begins"),
  RUN_FINISHED: () => note("flow", "succeeded", "done"),
  RUN_ERROR: ({ message }) => note("flow", message, "failed"),
  STEP_STARTED: ({ stepName }) => note("step", `${stepName} begins`),
  STEP_FINISHED: ({ stepName }) => note("step", `${stepName} is done`, "done"),
  TEXT_MESSAGE_START: ({ messageId }) => messages.set(messageId, note("says", "")),
  TEXT_MESSAGE_CONTENT: ({ messageId, delta }) => messages.get(messageId)?.append(delta),
  TOOL_CALL_START: ({ toolCallId, toolCallName }) => {
    messages.set(toolCallId, note("tool", `${toolCallName} `));
  },
  TOOL_CALL_ARGS: ({ toolCallId, delta }) => messages.get(toolCallId)?.append(delta),
  TOOL_CALL_RESULT: ({ content }) => note("result", content),
  CUSTOM: ({ name, value: told }) => CUSTOM[name]?.(told),
};

const CUSTOM = {
  agent_insight: ({ agent, text }) => note("insight", `${agent}: ${text}`),
  agent_started: ({ step: name, agent }) => note("agent", `${agent} works on ${name}`),
  answer_refused: ({ step: name, reason }) => note("step", `${name}: the answer was sent back: ${reason}`),
  delegation: ({ step: name, worker, description }) => note("manager", `gives ${name} to ${worker}: ${description}`),
  resumed: ({ task, approved, feedback }) => note("you", approved ? `approved ${task}` : `sent ${task} back: ${feedback}`),
  waiting: ({ task, agent }) => note("flow", `waits for your word on ${task} of ${agent}`),
  step_failed: ({ step: name, error }) => note("step", `${name} failed and is tried again: ${error}`),
  step_retried: ({ step: name, attempt: start }) => note("step", `${name} begins again, start ${start}`),
  model_call: ({ model, input_tokens: read, output_tokens: wrote, cost_nanodollars: cost }) =>
    note("model", `${model}: ${number.format(read)} in, ${number.format(wrote)} out, $${(cost / 1e9).toFixed(6)}`),
};

function onEvent(event, id) {
  const feed = at("feed");
  const atEnd = feed.scrollHeight - feed.scrollTop - feed.clientHeight < 40;
  SHOWN[event.type]?.(event);
  if (connection) connection.cursor = id;
  at("events").textContent = number.format(id.split(".")[1]);
  if (atEnd) feed.scrollTop = feed.scrollHeight;
}

function note(kind, text, className = "") {
  const said = element("div", { className: "said", textContent: text });
  at("feed").append(element("div", { className: `note ${kind} ${className}` }, element("b", { textContent: kind }), said));
  return said;
}

// The connection: how it is asked, from where it goes on, and when.

function onConnection(told) {
  connection = told;
  at("connection").dataset.phase = told.phase;
  at("phase").textContent = PHASES[told.phase];
  showDetail();
}

function showDetail() {
  if (!connection) return;
  const { phase, mode, cursor, until, leading, error } = connection;
  const seconds = Math.max(0, (until - Date.now()) / 1000).toFixed(1);
  const details = [
    phase === "waiting" && `in ${seconds} s`,
    ["live", "waiting", "connecting"].includes(phase) && (leading ? WAYS[mode] : "through another tab"),
    cursor && `${phase === "waiting" ? "from" : "at"} ${cursor}`,
    error?.message ?? error,
  ];
  at("detail").textContent = details.filter(Boolean).join(" · ");
}

// A link may bring a token: #token=...; it is kept in this tab and leaves the address.
function takeToken() {
  const [, brought] = /^#token=(.+)$/.exec(location.hash) ?? [];
  if (brought) {
    sessionStorage.token = brought;
    history.replaceState(null, "", location.pathname);
  }
  at("token").value = sessionStorage.token ?? "";
}

at("token").addEventListener("change", () => attempt(showCrews).then(watch));
at("crew").addEventListener("change", showInputs);
at("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("launch").disabled = true;
  await attempt(order);
  at("launch").disabled = false;
});
at("review").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => answer(event.submitter?.id !== "send-back"));
});
at("cancel").addEventListener("click", () => attempt(cancel));
addEventListener("hashchange", watch);
setInterval(showDetail, 200);
takeToken();
attempt(showCrews).then(watch);
