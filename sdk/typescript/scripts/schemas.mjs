/** JSON Schema to TypeScript: one interface for each schema of the document. */

export const HEAD = "// Written by scripts/generate.mjs from the server's /openapi.json. Not edited by hand.\n";
const PREFIX = "#/components/schemas/";
const PAGE = /^PageOf_(.+)_$/;

/** Names of which exactly one is given; the types stand in src/references.ts. */
const GROUPS = {
  "customer_id external_customer_id end_user_id": "CustomerReference",
  "billable_metric_key feature_key": "FeatureReference",
};

/** What the document leaves open because the server reads it by itself. */
const OVERRIDES = {
  "BatchBody.events": 'Array<UsageBody & { idempotency_key: string }>',
  "BatchResult.problem": "Problem",
  "Envelope.data": "Record<string, unknown>",
};

export const nameOf = (reference) => reference.slice(PREFIX.length);
export const itemOfPage = (name) => PAGE.exec(name)?.[1];

const quoted = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

export function comment(text, indent = "") {
  if (!text) return "";
  const line = text.replaceAll("*/", "* /").replaceAll("``", "`").replace(/\s+/g, " ").trim();
  return `${indent}/** ${line} */\n`;
}

/**
 * The type of a value. `isAnswer`: a later server may answer words that this list does not have yet, so lists of
 * words stay open in answers and are closed in requests.
 */
export function typeOf(schema, isAnswer) {
  if (schema.$ref) return typeOfName(nameOf(schema.$ref));
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return union([...schema.enum.map((one) => JSON.stringify(one)), ...openEnd(schema, isAnswer)]);
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return union(options.map((one) => typeOf(one, isAnswer)));
  if (Array.isArray(schema.type)) return union(schema.type.map((type) => typeOf({ ...schema, type }, isAnswer)));
  switch (schema.type) {
    case "string":
      return "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "null":
      return "null";
    case "array":
      return `Array<${typeOf(schema.items ?? {}, isAnswer)}>`;
    case "object":
      return typeOfObject(schema, isAnswer);
    default:
      return "unknown";
  }
}

const openEnd = (schema, isAnswer) =>
  isAnswer && schema.enum.every((one) => typeof one === "string") ? ["(string & {})"] : [];

const union = (types) => {
  const distinct = [...new Set(types)];
  return distinct.includes("unknown") ? "unknown" : distinct.join(" | ");
};

function typeOfName(name) {
  const item = itemOfPage(name);
  return item ? `Page<${item}>` : name;
}

function typeOfObject(schema, isAnswer) {
  if (schema.properties) return `{ ${fieldsOf("", schema, isAnswer, "").trim().replaceAll("\n", " ")} }`;
  const values = schema.additionalProperties;
  return `Record<string, ${values && typeof values === "object" ? typeOf(values, isAnswer) : "unknown"}>`;
}

function fieldsOf(owner, schema, isAnswer, indent, without = new Set()) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {})
    .filter(([name]) => !without.has(name))
    .map(([name, field]) => {
      const type = OVERRIDES[`${owner}.${name}`] ?? typeOf(field, isAnswer);
      const mark = required.has(name) ? "" : "?";
      return `${comment(field.description, indent)}${indent}${quoted(name)}${mark}: ${type};\n`;
    })
    .join("");
}

/** The reference types that a body is made of, and the fields which they stand for. */
function groupsOf(schema) {
  const found = (schema.allOf ?? []).map((part) => part.oneOf.map((one) => one.required[0]).join(" "));
  const unknown = found.filter((names) => !(names in GROUPS));
  if (unknown.length > 0) throw new Error(`no reference type for: ${unknown.join("; ")}`);
  return { types: found.map((names) => GROUPS[names]), names: new Set(found.flatMap((names) => names.split(" "))) };
}

/** Every schema that some request body reaches. */
function requestNames(document) {
  const schemas = document.components.schemas;
  const found = new Set();
  const visit = (value) => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (value && typeof value === "object") {
      const name = typeof value.$ref === "string" ? nameOf(value.$ref) : undefined;
      if (name !== undefined && !found.has(name)) {
        found.add(name);
        visit(schemas[name]);
      }
      Object.values(value).forEach(visit);
    }
  };
  for (const methods of Object.values(document.paths)) {
    for (const operation of Object.values(methods)) visit(operation.requestBody?.content);
  }
  return found;
}

export function writeSchemas(document) {
  const requests = requestNames(document);
  const parts = Object.entries(document.components.schemas)
    .filter(([name]) => !itemOfPage(name))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, schema]) => {
      const { types, names } = groupsOf(schema);
      const own = types.length > 0 ? `${name}Fields` : name;
      const fields = fieldsOf(name, schema, !requests.has(name), "  ", names);
      const about = comment(schema.description);
      const body = `${about}export interface ${own} {\n${fields}}\n`;
      return types.length > 0 ? `${body}\n${about}export type ${name} = ${[...types, own].join(" & ")};\n` : body;
    });
  const uses = 'import type { CustomerReference, FeatureReference } from "../references.js";\n';
  return `${HEAD}\n${uses}\n${parts.join("\n")}`;
}
