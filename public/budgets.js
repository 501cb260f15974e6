// Budgets: what may be spent, and how much of it is.
import { element } from "./elements.js";

const WINDOWS = { day: "today", month: "this month", flow: "in each flow" };

/** Return a list item for each budget, and for each name that it is counted by. */
export function lines(budgets) {
  return budgets.flatMap((budget) => {
    const spent = budget.spent.length ? budget.spent : [{ name: "", spent_usd: "0", held_usd: "0" }];
    return spent.map((state) => line(budget, state));
  });
}

function line({ id, window, limit_usd: limit, hard }, { name, spent_usd: spent, held_usd: held }) {
  const told = [`$${spent} of $${limit} ${WINDOWS[window]}`, +held && `$${held} held`, !hard && "only tells"];
  const bar = element("progress", { max: +limit || 1, value: +spent, title: `${spent} of ${limit}` });
  const title = element("b", { textContent: name ? `${id}: ${name}` : id });
  return element("li", {}, title, " ", element("small", { textContent: told.filter(Boolean).join(" · ") }), bar);
}
