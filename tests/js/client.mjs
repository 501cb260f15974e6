// Crewline's browser client under Node, in a process that collects garbage all the time: what waits for
// something that nobody holds waits for ever.
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
setInterval(runInNewContext("gc"), 20).unref();

/** Return the module at a path. */
export async function client(path) {
  const folder = await mkdtemp(join(tmpdir(), "crewline-"));
  await copyFile(path, join(folder, "crewline.mjs")); // Node takes no other name for a module
  const found = await import(join(folder, "crewline.mjs"));
  await rm(folder, { recursive: true });
  return found;
}
