// What happens in a flow, event by event, as a person reads it.
import { at, dollars, element, number } from "./elements.js";

const texts = new Map(); // id of a message or tool call -> the element that its text goes to
const agents = new Map(); // step -> the agent who works on it

const SHOWN = {
  RUN_STARTED: () => note("flow", "begins"),
  RUN_FINISHED: () => note("flow", "succeeded", "done"),
  RUN_ERROR: ({ message }) => note("flow", message, "failed"),
  STEP_STARTED: ({ stepName }) => note("step", `${stepName} begins`),
  STEP_FINISHED: ({ stepName }) => note("step", `${stepName} is done`, "done"),
  TEXT_MESSAGE_START: ({ messageId }) => texts.set(messageId, note("says", speaker(messageId))),
  TEXT_MESSAGE_CONTENT: ({ messageId, delta }) => texts.get(messageId)?.append(delta),
  TOOL_CALL_START: ({ toolCallId, toolCallName }) => {
    texts.set(toolCallId, note("tool", `${toolCallName} `));
  },
  TOOL_CALL_ARGS: ({ toolCallId, delta }) => texts.get(toolCallId)?.append(delta),
  TOOL_CALL_RESULT: ({ content }) => note("result", content),
  CUSTOM: ({ name, value }) => CUSTOM[name]?.(value),
};

const CUSTOM = {
  agent_insight: ({ agent, text }) => note("insight", `${agent}: ${text}`),
  agent_started: ({ step, agent }) => {
    agents.set(step, agent);
    note("agent", `${agent} works on ${step}`);
  },
  answer_refused: ({ step, reason }) => note("step", `${step}: the answer was sent back: ${reason}`),
  budget_alert: ({ budget, percent, limit_nanodollars: limit }) =>
    note("flow", `${percent} % of the budget ${budget} (${dollars(limit)}) is spent`),
  budget_exhausted: ({ budget }) => note("flow", `waits until the budget ${budget} has room`),
  budget_retried: ({ budget }) => note("flow", `goes on: the budget ${budget} may have room`),
  delegation: ({ step, worker, description }) => note("manager", `gives ${step} to ${worker}: ${description}`),
  lessons: ({ step, lessons }) => note("lessons", `${step} is told: ${lessons.map(({ text }) => text).join("; ")}`),
  model_call_repeated: ({ step, reason }) => note("model", `${step}: asked again: ${reason}`),
  answer_doubted: ({ step, reason }) => note("step", `${step}: the answer may not be whole: ${reason}`),
  resumed: ({ task, approved, feedback }) => note("you", approved ? `approved ${task}` : `sent ${task} back: ${feedback}`),
  starting: () => note("flow", "its worker starts, and loads for some seconds"),
  tool_failed: ({ step, tool, reason }) => note("tool", `${tool} failed in ${step}: ${reason}`, "failed"),
  waiting: ({ task, agent }) => note("flow", `waits for your word on ${task} of ${agent}`),
  step_deferred: ({ step, reason, retry_after_ms: ms }) =>
    note("step", `${step} goes on in ${Math.ceil(ms / 1000)} s: ${reason}`),
  step_failed: ({ step, error }) => note("step", `${step} failed and is tried again: ${error}`),
  step_resumed: ({ step }) => note("step", `${step} goes on`),
  step_retried: ({ step, attempt }) => note("step", `${step} begins again, start ${attempt}`),
  model_call: ({ model, input_tokens: read, output_tokens: wrote, cost_nanodollars: cost }) =>
    note("model", `${model}: ${number.format(read)} in, ${number.format(wrote)} out, ${dollars(cost)}`),
};

export function clear() {
  at("feed").replaceChildren();
  texts.clear();
  agents.clear();
}

export function show(event) {
  const feed = at("feed");
  const isAtEnd = feed.scrollHeight - feed.scrollTop - feed.clientHeight < 40;
  SHOWN[event.type]?.(event);
  if (isAtEnd) feed.scrollTop = feed.scrollHeight;
}

/** Who says a message, by its id: [flow.]step.attempt.number, where a step's name may hold points. */
function speaker(message) {
  const parts = message.split(".").slice(0, -2);
  const agent = agents.get(parts.slice(1).join(".")) ?? agents.get(parts.join("."));
  return agent ? `${agent}: ` : "";
}

function note(kind, text, className = "") {
  const said = element("div", { className: "said", textContent: text });
  at("feed").append(element("div", { className: `note ${kind} ${className}` }, element("b", { textContent: kind }), said));
  return said;
}
