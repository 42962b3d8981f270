/** The list of methods to classes: one for each resource, one method for each operation. */
import { comment, HEAD, itemOfPage, nameOf, typeOf } from "./schemas.mjs";

const CUSTOMER = "{customer_id}";

export const camel = (name) => name.replace(/_([a-z])/g, (_all, letter) => letter.toUpperCase());
const pascal = (name) => camel(`_${name}`);

/** Path parameters that are positional: all but the customer, who is a named argument. */
const positionalOf = (path) =>
  [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1]).filter((name) => `{${name}}` !== CUSTOMER);

function queryOf(operation) {
  return (operation.parameters ?? []).filter((parameter) => parameter.in === "query");
}

function queryType(schema) {
  if (schema.type === "string" && schema.pattern?.startsWith("^-?[0-9]")) return "number | string";
  if (schema.type === "string" && schema.examples?.includes("model:large") && schema.maxLength === 2000) {
    return "string | Record<string, string>";
  }
  if (schema.format === "date-time") return "string | Date";
  return typeOf(schema, false);
}

/** The interface of an operation's query, and the references that stand beside it. */
function describeQuery(name, operation, inPath) {
  const parameters = queryOf(operation);
  const names = new Set(parameters.map((parameter) => parameter.name));
  const references = [];
  const left = parameters.filter((parameter) => {
    if (parameter.name === "billable_metric_key" && parameter.required) {
      references.push("FeatureReference");
      return false;
    }
    return true;
  });
  if (inPath) references.unshift("CustomerReference");
  if (left.length === 0) return { text: "", types: references, isRequired: references.length > 0 };
  let fields = left
    .map((one) => {
      const mark = one.required ? "" : "?";
      return `${comment(one.description, "  ")}  ${one.name}${mark}: ${queryType(one.schema)};\n`;
    })
    .join("");
  if (names.has("external_customer_id")) fields += "  end_user_id?: string;\n";
  if (left.some((one) => one.name === "billable_metric_key")) fields += "  feature_key?: string;\n";
  const isRequired = references.length > 0 || left.some((one) => one.required);
  return { text: `export interface ${name} {\n${fields}}\n`, types: [...references, name], isRequired };
}

function describeBody(operation, inPath) {
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const types = inPath ? ["CustomerReference"] : [];
  if (schema?.$ref) types.push(nameOf(schema.$ref));
  else if (schema) types.push("EmptyRequest");
  const isRequired = inPath || operation.requestBody?.required === true;
  return { text: "", types, isRequired };
}

/** What a method answers with; 202 is asked for by name, so it is told apart. */
function describeAnswer(operation) {
  const found = { now: new Set(), later: new Set() };
  for (const [status, response] of Object.entries(operation.responses)) {
    if (!status.startsWith("2")) continue;
    const content = Object.entries(response.content ?? {});
    const type = content.length === 0 ? "void" : content[0][0].includes("json") ? answerType(content[0][1]) : "string";
    (status === "202" ? found.later : found.now).add(type);
  }
  const later = [...found.later].join(" | ");
  return found.now.size === 0 ? { now: later, later: "" } : { now: [...found.now].join(" | "), later };
}

function answerType(media) {
  const reference = media.schema.$ref;
  if (reference === undefined) return typeOf(media.schema, true);
  const item = itemOfPage(nameOf(reference));
  return item ? `Page<${item}>` : nameOf(reference);
}

function describeMethod(resource, method, verb, path, operation) {
  const inPath = path.includes(CUSTOMER);
  const positional = positionalOf(path);
  // A DELETE has no body: its key goes in the header, and what it names goes in the query.
  const isRead = verb === "GET" || verb === "DELETE";
  const name = camel(method);
  const queryName = `${pascal(resource)}${pascal(method)}Query`;
  const described = isRead ? describeQuery(queryName, operation, inPath) : describeBody(operation, inPath);
  const inQuery = isRead ? [] : queryOf(operation).map((parameter) => parameter.name);
  if (inQuery.length > 0) {
    const query = describeQuery(queryName, operation, false);
    described.text = query.text;
    described.types.push(...query.types);
  }
  const { now, later } = describeAnswer(operation);
  const item = /^Page<(.+)>$/.exec(now)?.[1];
  const hasArguments = described.types.length > 0;
  const parameters = [
    ...positional.map((one) => `${one}: string`),
    ...(hasArguments
      ? [`args${described.isRequired ? "" : "?"}: ${described.types.join(" & ")}`]
      : []),
  ];
  const keyed = (operation.parameters ?? []).some((one) => one.name === "Idempotency-Key");
  const marks = [keyed ? "keyed: true" : "", inQuery.length > 0 ? `query: ${JSON.stringify(inQuery)}` : ""];
  const route = `{ ${[`method: "${verb}"`, `path: "${path}"`, ...marks.filter(Boolean)].join(", ")} }`;
  const given = `${route}, [${positional.join(", ")}], ${hasArguments ? "args" : "undefined"}, options`;
  const about = comment(`${operation.summary}. \`${verb} ${path}\``, "  ");
  const signature = (options, type) => `${name}(${[...parameters, options].join(", ")}): ${type}`;
  let text = "";
  if (item) {
    text = `${about}  ${signature("options?: CallOptions", `Pages<${item}>`)} {\n    return this.pages(${given});\n  }\n`;
  } else if (later) {
    const asked = "options: CallOptions & { respondAsync: true }";
    text =
      `${about}  ${signature(asked, `Promise<${later}>`)};\n  ${signature("options?: CallOptions", `Promise<${now}>`)};\n` +
      `  ${signature("options?: CallOptions", `Promise<${now} | ${later}>`)} {\n    return this.call(${given});\n  }\n`;
  } else {
    text = `${about}  ${signature("options?: CallOptions", `Promise<${now}>`)} {\n    return this.call(${given});\n  }\n`;
  }
  return { text, interface: described.text, types: [...described.types, now, later] };
}

/** Stripe's own bytes are passed on as they came: its signature is over them. */
const RAW = "POST /v1/integrations/stripe/webhook/{environment_id}";

function rawMethod(method, path, operation) {
  return (
    `${comment(`${operation.summary}. \`POST ${path}\``, "  ")}  ${camel(method)}(environment_id: string, ` +
    `event: { body: string | Uint8Array<ArrayBuffer>; signature: string }, options?: CallOptions): Promise<StripeResult> {\n` +
    `    const headers = { ...options?.headers, "Stripe-Signature": event.signature };\n` +
    `    const route = { method: "POST", path: "${path}" };\n` +
    `    return this.call(route, [environment_id], event.body, { ...options, headers });\n  }\n`
  );
}

export function writeResources(document, operations) {
  const classes = new Map();
  const interfaces = [];
  const mentioned = new Set();
  for (const [method, target] of Object.entries(operations)) {
    const [resource, name] = method.split(".");
    const [verb, path] = target.split(" ");
    const operation = document.paths[path]?.[verb.toLowerCase()];
    if (operation === undefined) throw new Error(`${method}: the server has no ${target}`);
    const methods = classes.get(resource) ?? [];
    classes.set(resource, methods);
    if (target === RAW) {
      methods.push(rawMethod(name, path, operation));
      mentioned.add("StripeResult");
      continue;
    }
    const described = describeMethod(resource, name, verb, path, operation);
    methods.push(described.text);
    if (described.interface) interfaces.push(described.interface);
    for (const type of described.types) for (const word of type.match(/\w+/g) ?? []) mentioned.add(word);
  }
  const schemas = Object.keys(document.components.schemas).filter((name) => mentioned.has(name));
  const bodies = [...classes]
    .map(([resource, methods]) => `export class ${pascal(resource)} extends Resource {\n${methods.join("\n")}}\n`)
    .join("\n");
  const fields = [...classes.keys()];
  const all =
    `/** Every resource of a client. */\nexport abstract class Resources {\n` +
    fields.map((one) => `  readonly ${camel(one)}: ${pascal(one)};\n`).join("") +
    `\n  constructor(transport: Transport) {\n` +
    fields.map((one) => `    this.${camel(one)} = new ${pascal(one)}(transport);\n`).join("") +
    `  }\n}\n`;
  const imports =
    'import type { Pages } from "../pages.js";\n' +
    'import type { CustomerReference, EmptyRequest, FeatureReference } from "../references.js";\n' +
    'import { Resource } from "../resource.js";\n' +
    'import type { CallOptions, Transport } from "../transport.js";\n' +
    `import type {\n${schemas.sort().map((name) => `  ${name},\n`).join("")}} from "./schemas.js";\n`;
  return `${HEAD}\n${imports}\n${interfaces.join("\n")}\n${bodies}\n${all}`;
}

