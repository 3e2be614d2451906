// Analyses KQL with the real Kusto language service. Standard input: {"tables": {name: "(column: type, …)"},
// "queries": {name: text}}. Standard output, by query: diagnostics, the columns of its result, and what it reads.
"use strict";
require("@kusto/language-service-next/bridge.min");
require("@kusto/language-service-next/Kusto.Language.Bridge.min");

const { GlobalState, KustoCode, Symbols, Syntax } = Kusto.Language;
const { tables, queries } = JSON.parse(require("fs").readFileSync(0, "utf8"));

const symbols = Object.entries(tables).map(([name, schema]) => Symbols.TableSymbol.From(schema).WithName(name));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("db", symbols));

function list(bridged) {
  return Array.from({ length: bridged.Count }, (_, index) => bridged.getItem(index));
}

function isKind(node, ...kinds) {
  return kinds.some((kind) => node.Kind === Syntax.SyntaxKind[kind]);
}

function literal(node) {
  return isKind(node, "StringLiteralExpression") ? node.LiteralValue : null;
}

// The strings that a column is compared with: `Column == "a"`, `Column != "a"`, `Column in ("a", "b")`.
function compared(node, column) {
  if (isKind(node, "EqualExpression", "NotEqualExpression") && node.Left.ToString().trim() === column) {
    return [literal(node.Right)];
  }
  if (isKind(node, "InExpression", "NotInExpression") && node.Left.ToString().trim() === column) {
    const found = [];
    Syntax.SyntaxElement.WalkElements(node.Right, (inner) => {
      if (isKind(inner, "StringLiteralExpression")) found.push(inner.LiteralValue);
    });
    return found;
  }
  return [];
}

function analyse(text) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const reads = { tables: new Set(), messages: new Set(), names: new Set(), properties: new Set(), keys: new Set() };
  Syntax.SyntaxElement.WalkElements(code.Syntax, (node) => {
    if (isKind(node, "NameReference") && tables[node.SimpleName]) reads.tables.add(node.SimpleName);
    if (isKind(node, "PathExpression") && node.Expression.ToString().trim() === "Properties") {
      reads.properties.add(node.Selector.ToString().trim());
    }
    if (isKind(node, "ElementExpression") && node.Expression.ToString().trim() === "Properties") {
      const key = literal(node.Selector.Expression);
      if (key !== null) reads.properties.add(key);
    }
    if (isKind(node, "StartsWithExpression")) reads.keys.add(literal(node.Right));
    for (const found of compared(node, "Message")) reads.messages.add(found);
    for (const found of compared(node, "Name")) reads.names.add(found);
  });
  return {
    diagnostics: list(code.GetDiagnostics()).map((found) => `${found.Start}: ${found.Message}`),
    columns: Object.fromEntries(
      code.ResultType && code.ResultType.Columns ? list(code.ResultType.Columns).map((column) => [column.Name, column.Type.Name]) : []
    ),
    ...Object.fromEntries(Object.entries(reads).map(([name, found]) => [name, [...found].sort()])),
  };
}

const answers = Object.fromEntries(Object.entries(queries).map(([name, text]) => [name, analyse(text)]));
process.stdout.write(JSON.stringify(answers));
