// Turns of one conversation, through AG-UI's own HttpAgent as its documentation shows it.
//   node agui.mjs '{"url", "headers", "state"?, "turns": [{"say"?, "runId"?, "answer"?, "after_seconds"?}, ...]}'
// prints what the application sees after each turn: one line of JSON a turn.
import { HttpAgent, buildResumeArray } from "@ag-ui/client"

const { url, headers, state, turns } = JSON.parse(process.argv[2])
const agent = new HttpAgent({ url, headers, threadId: crypto.randomUUID(), initialState: state })
const warnings = []
console.warn = console.error = (...words) => warnings.push(words.map(String).join(" "))

for (const { say, runId, answer, after_seconds = 0 } of turns) {
  await new Promise((resolve) => setTimeout(resolve, after_seconds * 1000))
  if (say) agent.addMessage({ id: crypto.randomUUID(), role: "user", content: say })
  const parameters = { runId }
  if (answer) {
    const answers = agent.pendingInterrupts.map(({ id }) => [id, answer])
    parameters.resume = buildResumeArray(agent.pendingInterrupts, Object.fromEntries(answers))
  }
  const seen = { events: [] }
  const subscriber = {
    onEvent: ({ event }) => void seen.events.push(event.type),
    onRunFinishedEvent: ({ outcome }) => void (seen.outcome = outcome),
    onRunErrorEvent: ({ event }) => void (seen.code = event.code),
  }
  try {
    const { result, newMessages } = await agent.runAgent(parameters, subscriber)
    Object.assign(seen, { result, newMessages })
  } catch (error) {
    seen.error = String(error)
  }
  const { messages, pendingInterrupts } = agent
  console.log(JSON.stringify({ ...seen, messages, pendingInterrupts, state: agent.state, warnings }))
}
