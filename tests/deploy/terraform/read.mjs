// Parses Terraform's files in the folders that it is given. Prints JSON, for each folder: its files, what each expression in
// them refers to, and what could not be parsed. Packages are found in the folder that PACKAGES names.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";

const require = createRequire(join(process.env.PACKAGES, "package.json"));
const { parse, getReferencesInExpression } = require("@cdktf/hcl2json");

function* strings(value) {
  if (typeof value === "string") yield value;
  else if (value && typeof value === "object") for (const inner of Object.values(value)) yield* strings(inner);
}

// A file as it is parsed, and what its expressions refer to.
async function readFile(name, text) {
  const parsed = await parse(name, text);
  const references = {};
  for (const value of strings(parsed))
    if (value.includes("${") && !(value in references))
      references[value] = (await getReferencesInExpression(name, value)).map((reference) => reference.value);
  return { parsed, references };
}

// Copies of a folder differ in one file: the others are read once.
const known = new Map();

async function read(folder) {
  const found = { files: {}, references: {}, errors: [] };
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(tf|hcl|tfvars\.example)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  for (const path of paths.sort()) {
    const name = relative(folder, path);
    const text = readFileSync(path, "utf8");
    const key = `${name}\n${text}`;
    try {
      if (!known.has(key)) known.set(key, await readFile(name, text));
      found.files[name] = known.get(key).parsed;
      Object.assign(found.references, known.get(key).references);
    } catch (error) {
      found.errors.push(`${name}: ${String(error).slice(0, 300)}`);
    }
  }
  return found;
}

const result = {};
for (const folder of process.argv.slice(2)) result[folder] = await read(folder);
console.log(JSON.stringify(result));
