// Parses a PowerShell script. Prints JSON: its syntax errors, and the arguments of each docker command in it.
// An argument is printed as it is written, without its quotes.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Language, Parser } from "web-tree-sitter";

const require = createRequire(import.meta.url);
await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(require.resolve("tree-sitter-powershell/tree-sitter-powershell.wasm")));

function* nodes(node) {
  yield node;
  for (const child of node.children) yield* nodes(child);
}

function argumentsOf(command) {
  const elements = command.childForFieldName("command_elements");
  return elements.namedChildren
    .filter((child) => child.type !== "command_argument_sep")
    .map((child) => child.text.replace(/^(['"])(.*)\1$/, "$2"));
}

const tree = parser.parse(readFileSync(process.argv[2], "utf8"));
const all = [...nodes(tree.rootNode)];
console.log(
  JSON.stringify({
    errors: all
      .filter((node) => node.isError || node.isMissing)
      .map((node) => `line ${node.startPosition.row + 1}: ${node.text.slice(0, 60)}`),
    commands: all
      .filter((node) => node.type === "command" && node.childForFieldName("command_name")?.text === "docker")
      .map(argumentsOf),
  }),
);
