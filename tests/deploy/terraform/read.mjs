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

async function read(folder) {
  const found = { files: {}, references: {}, errors: [] };
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(tf|hcl|tfvars\.example)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  for (const path of paths.sort()) {
    const name = relative(folder, path);
    try {
      found.files[name] = await parse(name, readFileSync(path, "utf8"));
      for (const text of strings(found.files[name]))
        if (text.includes("${") && !(text in found.references))
          found.references[text] = (await getReferencesInExpression(name, text)).map((reference) => reference.value);
    } catch (error) {
      found.errors.push(`${name}: ${String(error).slice(0, 300)}`);
    }
  }
  return found;
}

const result = {};
for (const folder of process.argv.slice(2)) result[folder] = await read(folder);
console.log(JSON.stringify(result));
