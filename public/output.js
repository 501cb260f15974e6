// Any JSON as a person reads it: objects by their fields, lists of objects as tables.
import { element } from "./elements.js";

export function shown(value) {
  if (Array.isArray(value)) return list(value);
  if (isObject(value)) return object(value);
  return element("p", { className: "text", textContent: text(value) });
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function text(value) {
  if (value == null || value === "") return "–";
  if (typeof value === "number") return Number.isInteger(value) ? `${value}` : value.toFixed(2);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function object(value) {
  const fields = Object.entries(value).flatMap(([name, content]) => [
    element("dt", { textContent: name }),
    element("dd", {}, shown(content)),
  ]);
  return element("dl", { className: "object" }, ...fields);
}

function list(values) {
  if (values.length && values.every(isObject)) return table(values);
  if (!values.length) return element("p", { className: "text", textContent: "none" });
  return element("ul", { className: "list" }, ...values.map((value) => element("li", {}, shown(value))));
}

function table(rows) {
  const names = [...new Set(rows.flatMap(Object.keys))];
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col", textContent: name })));
  const lines = rows.map((row) => element("tr", {}, ...names.map((name) => cell(row[name]))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines));
}

function cell(content) {
  const className = typeof content === "number" ? "number" : "";
  return element("td", { className, textContent: text(content) });
}
