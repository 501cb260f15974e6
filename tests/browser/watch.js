// What a test watches with: every event, state and connection that the client hands on.
import { follow } from "/crewline.js";

const seen = {};
const following = {};

function watch(flow, { token, ...options } = {}) {
  const log = (seen[flow] ??= { ids: [], events: [], states: [], connections: [] });
  following[flow] = follow({
    url: `/v1/flows/${flow}`,
    token: () => (typeof token === "string" ? token : window.renewed?.()),
    onEvent: (event, id) => (log.ids.push(id), log.events.push(event)),
    onState: (state) => log.states.push(state),
    onConnection: (connection) => log.connections.push(connection),
    ...options,
  });
  following[flow].done.then(
    (state) => Object.assign(log, { done: true, state }),
    (error) => Object.assign(log, { done: true, error: error.message, status: error.status }),
  );
}

// The same with the browser's own client.
function native(flow, url) {
  const log = (seen[flow] = { ids: [], events: [] });
  const source = new EventSource(url);
  source.onmessage = ({ data, lastEventId }) => {
    log.ids.push(lastEventId);
    log.events.push(JSON.parse(data));
  };
  source.onerror = () => (log.done = source.readyState === EventSource.CLOSED);
}

Object.assign(window, { watch, native, seen, following, ready: true });
