// Forms from the API's own description: a field for each member of a JSON schema.

import { get } from "./api.js";
import { field } from "./dialog.js";

let described = null;

/** Read the description of the API, once. */
export function description() {
  described ||= get("openapi.json").catch((error) => {
    described = null;
    throw error;
  });
  return described;
}

/** Paths of the verbs, which the API describes one by one, by their names. */
async function verbPaths() {
  const { paths } = await description();
  const found = Object.entries(paths).map(([path, item]) => [path.match(/\/verbs\/(\w+)$/)?.[1], item]);
  return new Map(found.filter(([verb]) => verb));
}

/** Schema of a verb's members; null if there is none. */
export async function verbSchema(verb) {
  const body = (await verbPaths()).get(verb)?.post.requestBody.content["application/json"].schema;
  const found = body && plain(body, await description());
  return found?.properties ? found : null;
}

/** All verbs that the API describes. */
export async function verbs() {
  return [...(await verbPaths()).keys()];
}

/** "retry_interval_s" or "retryInterval" as a label: "Retry interval s". */
export function label(name) {
  const text = name.replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
  return text[0].toUpperCase() + text.slice(1);
}

/** Follow `$ref`, and leave out that it may be null. */
function plain(schema, root) {
  let found = schema;
  if (found.$ref) found = { ...root.components.schemas[found.$ref.split("/").pop()], ...without(found, "$ref") };
  const choices = found.anyOf || found.oneOf;
  if (choices) {
    const others = choices.filter((one) => one.type !== "null");
    if (others.length === 1) found = { ...plain(others[0], root), ...without(found, "anyOf", "oneOf"), optional: true };
  }
  if (Array.isArray(found.type)) found = { ...found, type: found.type.find((one) => one !== "null") };
  return found;
}

function without(object, ...names) {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

/** Make the fields of an object's schema; `root` is the whole description. Objects and lists are written as JSON. */
export function fieldsOf(schema, root) {
  return Object.entries(schema.properties || {}).map(([name, given]) => {
    const one = plain(given, root);
    const required = (schema.required || []).includes(name);
    const first = one.default ?? null;
    const options = { required, hint: one.description || "" };
    let made;
    if (one.type === "boolean") {
      const choices = [{ value: "true", label: "Yes" }, { value: "false", label: "No" }];
      made = field(name, label(name), { ...options, options: required ? choices : [{ value: "", label: first === null ? "Not given" : `Default: ${first ? "yes" : "no"}` }, ...choices] });
    } else if (one.enum) {
      made = field(name, label(name), { ...options, options: required ? one.enum : [{ value: "", label: first === null || first === "" ? "Not given" : `Default: ${first}` }, ...one.enum] });
    } else if (one.type === "integer" || one.type === "number") {
      made = field(name, label(name), { ...options, type: "number", step: one.type === "integer" ? "1" : "any", min: one.minimum, max: one.maximum, placeholder: first === null ? "" : String(first) });
    } else if (one.type === "string" || one.type === undefined) {
      const long = one.contentMediaType || (one.maxLength || 0) > 500;
      const type = one.format === "date-time" ? "datetime-local" : long ? "area" : "text";
      made = field(name, label(name), { ...options, type, maxlength: one.maxLength, placeholder: first === null ? "" : String(first) });
    } else {
      made = field(name, label(name), { ...options, type: "area", hint: `${options.hint} JSON.`.trim(), placeholder: one.type === "array" ? "[…]" : "{…}" });
    }
    made.kind = one.type === "string" && one.format === "date-time" ? "moment" : one.type || "string";
    return made;
  });
}

/** Read fields that `fieldsOf` made; what is empty is left out. Throws where JSON is none, with the fault at its field. */
export function membersOf(fields) {
  const found = {};
  for (const one of fields) {
    const { name, value } = one.control;
    if (value.trim() === "") continue;
    if (one.kind === "boolean") found[name] = value === "true";
    else if (one.kind === "integer" || one.kind === "number") found[name] = Number(value);
    else if (one.kind === "moment") found[name] = new Date(value).toISOString();
    else if (one.kind === "string") found[name] = value;
    else {
      try {
        found[name] = JSON.parse(value);
      } catch (error) {
        one.fault(error.message);
        throw new Error(`${name} is not JSON`);
      }
    }
  }
  return found;
}
