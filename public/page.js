// The page: choose a crew, launch it, watch it.
import * as budgets from "./budgets.js";
import * as crewline from "./crewline.js";
import { at, dollars, element, number, pill } from "./elements.js";
import * as feed from "./feed.js";
import * as form from "./form.js";
import { shown } from "./output.js";

const PHASES = {
  connecting: "connecting",
  live: "live",
  waiting: "reconnecting",
  paused: "paused while hidden",
  ended: "ended",
  failed: "failed",
};
const HINTS = {
  queued: "A worker takes it; one that just starts loads for some seconds.",
  starting: "Its worker has started, and loads for some seconds.",
};
const ENDED = ["succeeded", "failed", "cancelled"];
const MODES = { stream: "streaming", longpoll: "long polling", poll: "polling" };
const STEP_MARKS = { pending: "waits", running: "running", done: "done" };
const RECENT = 20;
const RECENT_MS = 15_000;

let crews = [];
let watching;
let connection;
let status; // of the flow that is watched

const token = () => at("token").value.trim();
const chosen = () => crews.find(({ name }) => name === at("crew").value);
const flowUrl = () => `/v1/flows/${encodeURIComponent(location.hash.slice(1))}`;

async function ask(path) {
  const answer = await fetch(path, { headers: { authorization: `Bearer ${token()}` } });
  const body = await answer.json().catch(() => ({}));
  if (answer.status === 401) delete sessionStorage.token; // refused: it need not be kept from a link
  if (!answer.ok) throw new Error(body.detail ?? body.title ?? `HTTP ${answer.status}`);
  return body;
}

/** Do something, and say beside it what went wrong. */
async function attempt(work, problem = at("problem")) {
  problem.textContent = "";
  try {
    await work();
  } catch (error) {
    problem.textContent = error.problem?.detail ?? error.message; // a field's fault is told beside it
    form.showErrors(at("inputs"), error.problem?.errors);
  }
}

// Launching

async function showCrews() {
  sessionStorage.token = token();
  const known = token() ? await ask("/v1/crews") : { crews: [] };
  crews = known.crews;
  at("crew").replaceChildren(...crews.map(({ name }) => element("option", { textContent: name })));
  at("crew").disabled = at("launch").disabled = !crews.length;
  showInputs();
  at("broken").replaceChildren(...(known.broken ?? []).map(brokenCrew));
  if (token()) await Promise.all([showRecent(), showBudgets()]);
}

/** Show what may be spent, to whoever may know it. */
async function showBudgets() {
  const { budgets: known } = await ask("/v1/budgets").catch(() => ({ budgets: [] }));
  at("budgets-title").hidden = !known.length;
  at("budgets").replaceChildren(...budgets.lines(known));
}

const brokenCrew = ({ name, file, line, error }) =>
  element("li", { textContent: `${name} cannot be launched. ${file}${line ? `:${line}` : ""}: ${error}` });

function showInputs() {
  at("description").textContent = chosen()?.description ?? "";
  at("inputs").replaceChildren(...form.fields(chosen()?.inputs ?? {}));
}

async function launch() {
  form.showErrors(at("inputs"));
  const upload = (file) => crewline.upload({ file, token });
  const inputs = await form.inputs(at("inputs"), chosen().inputs, upload);
  const onRetry = (error) => (at("problem").textContent = `trying again: ${error.message}`);
  const { id } = await crewline.launch({ crew: chosen().name, inputs, token, onRetry });
  at("problem").textContent = "";
  location.hash = id;
  at("stage").scrollIntoView({ block: "start" });
  await showRecent();
}

async function showRecent() {
  const { flows } = await ask(`/v1/flows?limit=${RECENT}`);
  const lines = flows.map(({ id, crew, status: now, created_ms: created }) => {
    const time = element("time", { textContent: when(new Date(created)) });
    const link = element("a", { href: `#${id}` }, element("b", { textContent: crew }), " ", time);
    return element("li", {}, link, pill(now));
  });
  at("recent").replaceChildren(...lines);
}

function when(time) {
  const isToday = time.toDateString() === new Date().toDateString();
  return isToday ? time.toLocaleTimeString() : time.toLocaleString([], { dateStyle: "short", timeStyle: "short" });
}

// Watching

function watch() {
  const id = location.hash.slice(1);
  watching?.stop();
  watching = status = undefined;
  at("empty").hidden = Boolean(id && token());
  at("empty").textContent = id ? "Paste a token to watch this flow." : "Launch a crew, or choose a flow, and watch it work.";
  at("watched").hidden = !id || !token();
  if (at("watched").hidden) return;
  feed.clear();
  for (const name of ["steps", "output"]) at(name).replaceChildren();
  for (const name of ["error", "title", "status", "events", "hint"]) at(name).textContent = "";
  at("result").hidden = at("cancel").hidden = at("review").hidden = true;
  watching = crewline.follow({ url: flowUrl(), token, replay: true, onEvent, onState, onConnection });
  const mine = watching;
  mine.done.catch((error) => mine === watching && (at("error").textContent = error.message));
}

function onEvent(event, id) {
  feed.show(event);
  if (connection) connection.cursor = id;
  at("events").textContent = number.format(id.split(".")[1]);
}

function onState(state) {
  const { crew, id, usage, steps, output, error, waiting } = state;
  if (status !== state.status) showRecent().then(showBudgets).catch(() => {});
  status = state.status;
  at("title").replaceChildren(`${crew} `, element("small", { textContent: id }));
  const phase = status === "queued" && state.starting_ms ? "starting" : status;
  at("status").className = `pill ${phase}`;
  at("status").textContent = phase;
  at("hint").textContent = HINTS[phase] ?? "";
  at("cancel").hidden = ENDED.includes(status);
  at("cost").replaceChildren(dollars(usage.cost_nanodollars), element("small", { textContent: costNotes(usage) }));
  at("tokens-in").textContent = number.format(usage.input_tokens);
  at("tokens-out").textContent = number.format(usage.output_tokens);
  at("calls").textContent = number.format(usage.calls);
  at("error").textContent = error ?? "";
  showReview(waiting);
  at("steps").replaceChildren(...inOrder(steps).map(step));
  at("result").hidden = output === null && !state.output_ref;
  if (!at("result").hidden) showLarge("output", output, state.output_ref);
}

/** What of the cost is not sure: calls without a price, at a bound, or at made-up prices. */
function costNotes({ unpriced_calls: unpriced, lost_calls: lost, demo_calls: demo, calls }) {
  const notes = [
    unpriced && `and ${count(unpriced, "unpriced call")}`,
    lost && `with ${count(lost, "lost call")}, counted at the most`,
    demo && (demo === calls ? "made-up prices of the offline model" : `${count(demo, "call")} at made-up prices`),
  ];
  return notes.filter(Boolean).join(", ");
}

const count = (many, what) => `${number.format(many)} ${what}${many === 1 ? "" : "s"}`;

/** The flow waits for a word: what it would go on with, and a form to approve it or send it back. */
function showReview(waiting) {
  at("review").hidden = !waiting?.review;
  if (!waiting?.review || at("review").dataset.review === waiting.review) return;
  at("review").dataset.review = waiting.review;
  at("review-problem").textContent = "";
  at("asked").textContent = `${waiting.agent} asks about ${waiting.task}: is this right?`;
  showLarge("draft", waiting.output, waiting.output_ref);
}

/** Show an output in the element of this id; one that is too large for a state is read first. */
async function showLarge(id, output, ref) {
  if (!ref) return at(id).replaceChildren(shown(output));
  const { search } = new URL(ref.url, location);
  const headers = { authorization: `Bearer ${token()}` };
  const mine = watching;
  const answer = await fetch(`${flowUrl()}/output${search}`, { headers }).catch(() => ({ ok: false }));
  const whole = answer.ok ? await answer.json() : "It could not be read: reload the page.";
  if (mine === watching) at(id).replaceChildren(shown(whole));
}

async function answer(approve) {
  const feedback = at("feedback").value.trim();
  if (!approve && !feedback) throw new Error("Say what should be different, or approve.");
  const { review } = at("review").dataset;
  await crewline.resume({ url: flowUrl(), review, approve, feedback, token });
  at("feedback").value = "";
}

/** Steps as they began, then those that did not. */
function inOrder(steps) {
  const began = ({ started_ms: started }) => started ?? Infinity;
  return [...steps].sort((one, other) => (began(one) > began(other)) - (began(one) < began(other)));
}

function step({ id, title, agent, state, attempt: start, started_ms: from, finished_ms: to, error }) {
  const took = from && to ? `${((to - from) / 1000).toFixed(1)} s` : "";
  const again = start > 1 ? `start ${start}` : "";
  const notes = [agent, again, took, STEP_MARKS[state] ?? state].filter(Boolean).join(" · ");
  const mark = element("span", { className: "mark", ariaHidden: "true" });
  const name = element("b", { textContent: id });
  const about = element("small", { className: "about", textContent: error ?? title, title: error ?? title });
  return element("li", { className: state }, mark, name, about, element("small", { className: "notes", textContent: notes }));
}

// The connection: how it is asked, from where it goes on, and when.

function onConnection(status) {
  connection = status;
  at("connection").dataset.phase = status.phase;
  at("phase").textContent = PHASES[status.phase];
  showDetail();
}

function showDetail() {
  if (!connection) return;
  const { phase, mode, cursor, until, leading, error } = connection;
  const seconds = Math.max(0, (until - Date.now()) / 1000).toFixed(1);
  const details = [
    phase === "waiting" && `in ${seconds} s`,
    ["live", "waiting", "connecting"].includes(phase) && (leading ? MODES[mode] : "through another tab"),
    cursor && `${phase === "waiting" ? "from" : "at"} ${cursor}`,
    error?.message ?? error,
  ];
  at("detail").textContent = details.filter(Boolean).join(" · ");
}

/**
 * A link may bring a token, #token=...; it leaves the address and is kept in this tab. It never
 * replaces one that is there: a stranger's link would have the next upload go to the stranger.
 */
function takeToken() {
  const [, brought] = /^#token=(.+)$/.exec(location.hash) ?? [];
  if (brought) history.replaceState(null, "", location.pathname);
  const kept = sessionStorage.token || brought || "";
  at("token").value = sessionStorage.token = kept;
  const isOther = brought && brought !== kept;
  return isOther ? "The link brought another token. It was not taken: empty the field and open the link again to use it." : "";
}

at("token").addEventListener("change", () => attempt(showCrews).then(watch));
at("crew").addEventListener("change", showInputs);
at("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("launch").disabled = true;
  await attempt(launch);
  at("launch").disabled = false;
});
at("review").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => answer(event.submitter?.id !== "send-back"), at("review-problem"));
});
at("cancel").addEventListener("click", () => attempt(() => crewline.cancel({ url: flowUrl(), token }), at("error")));
addEventListener("hashchange", () => {
  if (/^#token=/.test(location.hash)) start();
  else watch();
});
setInterval(showDetail, 200);
setInterval(() => !document.hidden && token() && showRecent().catch(() => {}), RECENT_MS);

async function start() {
  const notTaken = takeToken();
  await attempt(showCrews);
  if (notTaken) at("problem").textContent = notTaken;
  watch();
}

start();
