// The form for a crew's inputs, made from their JSON Schema; and the inputs that a person gave in it.
import { element } from "./elements.js";

const INLINE_BYTES = 4 * 1024 ** 2;

/** Return the fields of a schema: required ones first, the others folded away. */
export function fields({ properties = {}, required = [] }) {
  const made = Object.entries(properties).map(([name, schema]) => ({
    isRequired: required.includes(name),
    shown: field(name, schema, required.includes(name)),
  }));
  const wanted = made.filter(({ isRequired }) => isRequired).map(({ shown }) => shown);
  const optional = made.filter(({ isRequired }) => !isRequired).map(({ shown }) => shown);
  const more = element("details", {}, element("summary", { textContent: "More inputs" }), ...optional);
  return optional.length ? [...wanted, more] : wanted;
}

/** Return the inputs that were filled in; what was left empty is the crew's to decide. */
export async function inputs(form, { properties }, upload) {
  const given = {};
  for (const input of form.querySelectorAll("[name]")) {
    if (!input.value) continue;
    try {
      given[input.name] = await value(input, properties[input.name], upload);
    } catch (error) {
      throw Object.assign(new Error(`${input.name}: ${error.message}`), { field: input.name });
    }
  }
  return given;
}

/** Say at each field what the server found wrong with it; forget what was said before. */
export function showErrors(form, errors = []) {
  for (const wrong of form.querySelectorAll(".wrong")) wrong.remove();
  for (const { pointer, detail } of errors) {
    const name = decodeURIComponent(/\/inputs\/([^/]+)/.exec(pointer)?.[1] ?? "").replaceAll("~1", "/");
    const input = form.querySelector(`[name="${CSS.escape(name)}"]`);
    input?.closest("details")?.setAttribute("open", "");
    input?.parentElement.append(element("p", { className: "problem wrong", textContent: detail }));
  }
}

function field(name, schema, required) {
  const notes = [schema.description, bounds(schema)].filter(Boolean).join(" · ");
  const hint = element("p", { id: `hint-${name}`, className: "hint", textContent: notes });
  const input = control(name, schema, required);
  Object.assign(input, { id: `input-${name}`, name, required });
  input.setAttribute("aria-describedby", hint.id);
  const label = element("label", { htmlFor: input.id, textContent: schema.title ?? name });
  return element("div", {}, label, input, hint);
}

function bounds({ minimum, maximum, minLength, default: preset }) {
  const least = minimum ?? (minLength && `${minLength} character${minLength > 1 ? "s" : ""}`);
  return [
    least !== undefined && `at least ${least}`,
    maximum !== undefined && `at most ${maximum}`,
    preset !== undefined && `otherwise ${plain(preset)}`,
  ]
    .filter(Boolean)
    .join(", ");
}

const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** The type of a value that is given; one that may be null is left empty instead. */
function typeOf({ type = "string" }) {
  return [type].flat().find((one) => one !== "null") ?? "string";
}

/** An upload's id, whatever the input is called. */
const isFile = ({ format }) => format === "crewline-input";

const isLines = ({ items }) => items && typeOf(items) === "string" && !items.enum;

function control(name, schema, required) {
  const type = typeOf(schema);
  if (isFile(schema)) return element("input", { type: "file" });
  if (schema.enum) return choice(schema.enum.filter((one) => one !== null), required);
  if (type === "boolean") return choice([true, false], required);
  if (type === "array" && isLines(schema)) {
    return element("textarea", { rows: 3, placeholder: "one a line" });
  }
  if (["object", "array"].includes(type)) return element("textarea", { rows: 3, placeholder: "JSON" });
  if (schema.maxLength > 1000) return element("textarea", { rows: 3, maxLength: schema.maxLength });
  const { minimum: min = "", maximum: max = "" } = schema;
  if (type === "integer") return element("input", { type: "number", step: 1, min, max });
  if (type === "number") return element("input", { type: "number", step: "any", min, max });
  return element("input", { type: schema.format === "date" ? "date" : "text" });
}

/** A choice of values; nothing is chosen before a person chooses. */
function choice(values, required) {
  const names = { true: "yes", false: "no" };
  const options = values.map((value) => {
    const textContent = names[value] ?? plain(value);
    return element("option", { value: JSON.stringify(value), textContent });
  });
  const nothing = element("option", { value: "", textContent: required ? "choose ..." : "not set" });
  return element("select", {}, nothing, ...options);
}

async function value(input, schema, upload) {
  const type = typeOf(schema);
  if (input.type === "file") return stored(input.files[0], upload);
  if (input.tagName === "SELECT") return JSON.parse(input.value);
  if (type === "string") return input.value;
  if (type === "array" && isLines(schema)) {
    return input.value.split("\n").map((line) => line.trim()).filter(Boolean);
  }
  if (["object", "array"].includes(type)) return json(input.value, type);
  return Number(input.value);
}

function json(text, type) {
  try {
    return JSON.parse(text);
  } catch (error) {
    const example = type === "array" ? '["a", "b"]' : '{"name": "value"}';
    throw new Error(`this must be JSON, such as ${example} (${error.message})`);
  }
}

async function stored(file, upload) {
  if (file.size > INLINE_BYTES) throw new Error("this page uploads at most 4 MB; the API takes more");
  return (await upload(file)).id;
}
