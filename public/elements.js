// Elements of the page. All that comes from a flow is set as text.

export const at = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function pill(status) {
  return element("span", { className: `pill ${status}`, textContent: status });
}

export const number = new Intl.NumberFormat("en");

export const dollars = (nanodollars) => `$${(nanodollars / 1e9).toFixed(6)}`;
