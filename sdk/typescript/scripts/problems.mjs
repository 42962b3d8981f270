/** The problem types to error classes: one for each, found by the last segment of `type`. */
import { comment, HEAD } from "./schemas.mjs";

/** The members that a type adds, where callers act on them. */
const QUOTA = {
  metric: "string",
  level: "string",
  policy: "string",
  limit: "number | string | null",
  value: "number | string",
  resets_at: "string",
};
const MEMBERS = {
  "insufficient-credits": { required: "number", available: "number", shortfall: "number" },
  "insufficient-scope": { required_scope: "string" },
  "quota-exceeded": QUOTA,
  "asset-suspended": QUOTA,
  "quota-rate-limited": QUOTA,
  "not-entitled": { metric: "string", reason: "string" },
  conflict: { customer_id: "string", block_id: "string" },
  "reservation-not-active": { reservation_id: "string", reservation_status: "string" },
  "subscription-state-conflict": { subscription_status: "string" },
};
/** Always there; the rest is there when it applies. */
const ALWAYS = new Set(["insufficient-credits", "insufficient-scope"]);

const className = (slug) => `${slug.replace(/(^|-)([a-z])/g, (_all, _dash, letter) => letter.toUpperCase())}`;
const errorName = (slug) => (slug === "validation-error" ? "ValidationFailedError" : `${className(slug)}Error`);
/** Who catches the one catches the other. */
const PARENTS = {
  "customer-not-found": "not-found",
  "reservation-not-active": "conflict",
  "subscription-state-conflict": "conflict",
  "idempotency-key-in-flight": "conflict",
};

export function writeProblems(document) {
  const examples = Object.entries(document.components.examples);
  const classes = examples.map(([slug, { value }]) => {
    const members = Object.entries(MEMBERS[slug] ?? {})
      .map(([name, type]) => `  declare readonly ${name}${ALWAYS.has(slug) ? "" : "?"}: ${type};\n`)
      .join("");
    const about = comment(`${value.status} \`${slug}\`: ${value.title}.`);
    const name = errorName(slug);
    const parent = slug in PARENTS ? errorName(PARENTS[slug]) : "ProblemError";
    return `${about}export class ${name} extends ${parent} {\n  override readonly name: string = "${name}";\n${members}}\n`;
  });
  const table = examples.map(([slug]) => `  "${slug}": ${errorName(slug)},\n`).join("");
  return (
    `${HEAD}\nimport { ProblemError, type ProblemClass } from "../errors.js";\n\n${classes.join("\n")}\n` +
    `/** The last segment of a problem's \`type\` -> its class. */\n` +
    `export const PROBLEM_CLASSES: Readonly<Record<string, ProblemClass>> = {\n${table}};\n`
  );
}
