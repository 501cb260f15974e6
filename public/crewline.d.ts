/**
 * Launch crews and follow flows from a browser: one module, no dependencies, no build step.
 *
 * ```js
 * import { follow, launch } from "/crewline.js";
 *
 * const token = () => sessionStorage.token;
 * const { links } = await launch({ crew: "haiku", inputs: { topic: "rain" }, token });
 * const flow = follow({ url: links.self, token, onState: (state) => show(state) });
 * const state = await flow.done;
 * ```
 *
 * Needed: Chrome or Edge 116, Firefox 124, Safari 17.4 (for AbortSignal.any). `launch`, `cancel`, `resume`
 * and `upload` run under Node 20 as well, with a whole `url`; to follow a flow from there, take the Python
 * client or any reader of server-sent events.
 *
 * ## What is promised
 * Every event of a flow is handed on once and in order, whatever happens to the connection, and the
 * state is the one these events add up to. What cannot be handed on, as the log was trimmed or the
 * cursor was of another life of the flow, is replaced by one STATE_SNAPSHOT, and it goes on from there.
 *
 * ## How it is asked
 * A stream of server-sent events where that works; else long polls of the log; else polls of the
 * state with If-None-Match. A way is left when it failed five times while the next one worked, or
 * when a new stream stays silent while polling proves that there is news: something buffers it. Left
 * ways are tried again after five minutes; until then every page of the origin knows (localStorage).
 * When everything fails, no way is to blame; where the server says that it holds too many streams of
 * this user (429), the next way is taken at once. Waits are full-jitter exponential back-off over the
 * server's `retry:`, up to 30 s, and never shorter than its Retry-After. Two missed heartbeats end a
 * connection. In `poll` mode, events that do not change the state arrive with the next one that does.
 *
 * ## One connection
 * All flows that all tabs of an origin follow at one API share one connection. One follower, in some
 * tab, leads: it holds a Web Lock, asks for all of them, `GET /v1/events?flows=a,b`, and tells the
 * others over a BroadcastChannel. Before it connects it calls the roll, and everybody answers with
 * their flow and the last event they saw; so who has left, or whose tab has closed, is left out by
 * itself. Who comes later speaks up and is taken in. Who lacks events that were told already is sent
 * a page of the log. When the leader's flow ends, or its tab is closed or hidden, another one leads.
 *
 * The server streams 20 flows together. Of more than these, 20 are drawn by lot, anew every five
 * seconds. Long polls and polls go through the flows one after the other, and only a flow that is
 * alone is held.
 *
 * The leader asks with its own token, so tabs of one origin see for each other. What it may not read
 * is asked for by those who want it, over a connection of their own. A refused flow fails alone.
 *
 * Where there are no Web Locks (plain HTTP other than localhost), each flow asks for itself, and as
 * browsers open six connections to a host over HTTP/1.1, serve the API over HTTP/2 there. A page that
 * was hidden for `grace` seconds asks for nothing until it is seen again.
 */

/** An AG-UI event, https://docs.ag-ui.com/concepts/events. */
export interface FlowEvent {
  type: string;
  timestamp?: number;
  [field: string]: unknown;
}

export type Status = "queued" | "running" | "waiting" | "succeeded" | "failed" | "cancelled";

export interface Step {
  id: string;
  title: string;
  agent: string;
  /** `failed` and `cancelled`: the flow ended so while the step ran. */
  state: "pending" | "running" | "done" | "failed" | "cancelled";
  /** How often it was started; 0 before the first time. */
  attempt: number;
  started_ms: number | null;
  finished_ms: number | null;
  /** Why its last attempt failed. */
  error: string | null;
  /** While it is put off, by a busy provider say: why, and when it goes on (ms since 1970). */
  waiting: { reason: string; until_ms: number } | null;
}

export interface Usage {
  calls: number;
  input_tokens: number;
  output_tokens: number;
  /** 1e-9 USD. A lower bound if there are unpriced calls. */
  cost_nanodollars: number;
  unpriced_calls: number;
  /** Answered by the offline model, whose prices are made up. */
  demo_calls: number;
  /**
   * Of which nobody has said what they cost, since their step or flow ended first: counted at the most
   * they could have cost, until the answer comes. So the usage may still fall after the end.
   */
  lost_calls: number;
  /** Parts of the input: read from and written to the provider's cache. */
  cache_read_tokens: number;
  cache_write_tokens: number;
  /** Part of the output. */
  reasoning_tokens: number;
  /** The part of the cost that is a bound, of calls of which nobody has said what they cost. */
  lost_nanodollars: number;
  /** Of which the provider told no tokens. */
  estimated_calls: number;
}

/** Where a value over 32 kB is read; null stands in its place. */
export interface OutputRef {
  bytes: number;
  /** A path of the API. */
  url: string;
}

/** What a flow waits for: somebody to approve an answer, or to say what should be different. */
export interface Waiting {
  /** Names the question; to be sent with the answer. */
  review: string;
  reason: string;
  task: string;
  step: string;
  agent: string;
  /** What the flow would go on with. */
  output: unknown;
  /** Where `output` is read, if it is large. */
  output_ref?: OutputRef;
}

/** A flow waits until a budget has room for its next model call; it goes on by itself. */
export interface WaitingForMoney {
  reason: "budget";
  budget: string;
  /** What it has room for (10^-9 USD), which is less than the call needs. */
  left_nanodollars: number;
  /** What the call needs at least (10^-9 USD): with the shortest answer that is of use. */
  needed_nanodollars: number;
  /** When the budget's window ends (ms since 1970); null for one that is for a flow as a whole. */
  until_ms: number | null;
  review?: undefined;
}

/** What GET /v1/flows/{id} answers. Times are milliseconds since 1970. */
export interface FlowState<Output = unknown> {
  id: string;
  crew: string;
  /** The subject of the token that launched it. */
  launched_by: string | null;
  /** The digest of the crew's definition, as it was at launch. */
  definition: string;
  status: Status;
  /** When a worker that had just started began to load for it, while it was queued: show "starting" then. */
  starting_ms?: number;
  /** Rises with every change. */
  version: number;
  created_ms: number;
  updated_ms: number;
  steps: Step[];
  usage: Usage;
  waiting: Waiting | WaitingForMoney | null;
  output: Output | null;
  /** Where `output` is read, if it is large. */
  output_ref?: OutputRef;
  error: string | null;
}

export interface Connection {
  /**
   * `waiting`: until `until`, after `error` if there was one. `paused`: the page is hidden, or what
   * the leader may not read is about to be asked for by this follower. `ended` and `failed` are last.
   */
  phase: "connecting" | "live" | "waiting" | "paused" | "ended" | "failed";
  /** In which way the leader asks. Says nothing in `paused`, `ended` and `failed`. */
  mode: "stream" | "longpoll" | "poll";
  /** The id of the last event; "" before the first. */
  cursor: string;
  /** Whether it is this follower that asks, for all. */
  leading: boolean;
  /** When it is asked again, in milliseconds since 1970. */
  until?: number;
  error?: CrewlineError | Error | "silence";
}

/** The server said no. Other errors are the network's. */
export interface CrewlineError extends Error {
  status: number;
  /** RFC 9457, `{}` if the answer was no problem document. */
  problem: { type?: string; title?: string; detail?: string; [field: string]: unknown };
  /** From Retry-After; 0 without. */
  retryMs: number;
}

export interface Access {
  /** The bearer token, or what gives it: called again when the server refuses the one before. */
  token?: string | (() => string | Promise<string>);
  /** In the place of the global `fetch`; called with a string. */
  fetch?: typeof globalThis.fetch;
}

export interface FollowOptions<Output = unknown> extends Access {
  /** Of the flow: `/v1/flows/{id}`. What stands before `{id}` names the API that is shared. */
  url: string | URL;
  /** Called with each event and its id. What it throws is reported, and stops nothing. */
  onEvent?: (event: FlowEvent, id: string) => void;
  /** Called with each new state. None is ever changed later. */
  onState?: (state: FlowState<Output>) => void;
  /** Called when the connection changes. */
  onConnection?: (connection: Connection) => void;
  /**
   * Hand on the whole log. Without it, a tab that was reloaded gets its last state at once and goes on
   * after the last event that it saw (sessionStorage): right for pages that show the state, wrong for
   * those that keep what the events told them only in memory.
   */
  replay?: boolean;
  /** Seconds between two heartbeats of the server. Default 15; the leader's counts. */
  heartbeat?: number;
  /** Seconds for which a hidden page stays connected. Default 30. */
  grace?: number;
}

export interface Following<Output = unknown> {
  /**
   * Resolves with the last state when the flow has ended, or with the one so far when it is stopped.
   * Rejects with a CrewlineError if the server refuses for good: 401 with a new token, 403, 404 for
   * more than three seconds (a store that lags may not show a new flow before).
   */
  readonly done: Promise<FlowState<Output> | undefined>;
  /** End following; nothing is handed on after it. */
  stop(): void;
}

/** Follow a flow until it ends. */
export function follow<Output = unknown>(options: FollowOptions<Output>): Following<Output>;

export interface LaunchOptions extends Access {
  crew: string;
  /** As the crew's input schema wants them; files by the id that POST /v1/inputs gave. */
  inputs?: Record<string, unknown>;
  /** Default `/v1/flows`. */
  url?: string | URL;
  /** The Idempotency-Key: the same key launches once. Random by default. */
  key?: string;
  /** Ends the attempts, such as `AbortSignal.timeout(60_000)`. */
  signal?: AbortSignal;
  /** Called when an attempt failed, with the time in milliseconds until the next. */
  onRetry?: (error: Error, waitMs: number) => void;
}

export interface Launched {
  id: string;
  status: Status;
  links: { self: string; events: string };
}

/**
 * Launch a crew. Sent again, with back-off and under the same key, until there is an answer: a lost
 * one launches nothing twice. Rejects with a CrewlineError if the request is refused, and at once
 * with a TypeError, ReferenceError or the like, which is a program's mistake.
 */
export function launch(options: LaunchOptions): Promise<Launched>;

export interface CommandOptions extends Access {
  /** Of the flow: `/v1/flows/{id}`. */
  url: string | URL;
  signal?: AbortSignal;
}

/** End a flow for good; what runs stops at its next model call. Rejects if it ended otherwise. */
export function cancel<Output = unknown>(options: CommandOptions): Promise<FlowState<Output>>;

export interface ResumeOptions extends CommandOptions {
  /** The question that is answered: `state.waiting.review`. */
  review: string;
  approve: boolean;
  /** What should be different; needed where `approve` is false. */
  feedback?: string;
}

/** Answer a flow that waits. Sent again, the same answer changes nothing; another one is a 409. */
export function resume<Output = unknown>(options: ResumeOptions): Promise<FlowState<Output>>;

export interface UploadOptions extends Access {
  file: Blob;
  /** Default `/v1/inputs`. */
  url?: string | URL;
  signal?: AbortSignal;
}

/** Store a file of at most 4 MB; its id is what a crew's inputs name. */
export function upload(options: UploadOptions): Promise<{ id: string }>;
