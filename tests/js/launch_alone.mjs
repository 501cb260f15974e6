// Launch where nothing but the client's own waits keeps the program alive: node launch_alone.mjs MODULE
// MODULE is crewline.js. Prints, as JSON, what a launch returns whose first two requests fail.
import { client } from "./client.mjs";

const { launch } = await client(process.argv[2]);
Math.random = () => 0.1; // waits of 200 and 400 ms

let asked = 0;
const fetch = async () => {
  if (++asked < 3) throw new TypeError("fetch failed");
  return new Response('{"id": "fl_1"}', { status: 202 });
};
console.log(JSON.stringify(await launch({ crew: "c", inputs: {}, url: "http://127.0.0.1/v1/flows", fetch })));
