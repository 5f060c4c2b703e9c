// Prints what Microsoft's own parser of KQL has to say of each query in the JSON list on standard input.
require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

let text = "";
process.stdin.on("data", (piece) => (text += piece));
process.stdin.on("end", () => {
  const found = JSON.parse(text).map((query) => {
    const diagnostics = Kusto.Language.KustoCode.Parse(query).GetSyntaxDiagnostics();
    const messages = [];
    for (let index = 0; index < (diagnostics.Count || 0); index++) {
      messages.push(diagnostics.getItem(index).Message);
    }
    return messages;
  });
  console.log(JSON.stringify(found));
});
