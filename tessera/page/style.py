"""Style and behaviour of the report page: CSS for light and dark, and the few lines of JavaScript for its tables.

Holds text only. The page loads nothing from elsewhere, so it can be mailed, archived and opened without a network. It
is readable without JavaScript; sorting and filtering then do nothing.
"""

from __future__ import annotations

CSS = """
:root { --ground: #f5f6f8; --card: #ffffff; --ink: #1c2430; --soft: #5b6675; --line: #dfe3e9; --accent: #2a649f;
  --good: #1f7a58; --good-ground: #e2f3eb; --bad: #b3322f; --bad-ground: #fbe6e4; --warn: #7a4b00;
  --warn-ground: #ffe9bf; --warn-line: #e0a33a; --stripe: #f8f9fb; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --card: #1a2029; --ink: #e6eaf0; --soft: #98a3b3;
  --line: #2c3542; --accent: #7db4e6; --good: #6fcfa5; --good-ground: #163629; --bad: #f08a84; --bad-ground: #43201f;
  --warn: #ffd98f; --warn-ground: #41300d; --warn-line: #a9781f; --stripe: #1e2530; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 27px; margin: 0 0 2px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 40px 0 4px; padding-top: 6px; }
h3 { font-size: 15px; margin: 0 0 8px; }
p { margin: 4px 0 12px; }
a { color: var(--accent); }
code { font: 0.88em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.soft { color: var(--soft); }
.banner { background: var(--warn-ground); color: var(--warn); border: 1px solid var(--warn-line); border-radius: 8px;
  padding: 12px 18px; margin: 0 0 22px; }
.banner strong { letter-spacing: 0.06em; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 14px 0 20px; font-size: 14px; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 18px 0; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tile { padding: 12px 16px; }
.tile b { display: block; font-size: 25px; font-weight: 650; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.tile.good b { color: var(--good); }
.tile.bad b { color: var(--bad); }
.card { padding: 16px 18px; margin: 12px 0; overflow-x: auto; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(520px, 100%), 1fr)); gap: 14px;
  margin: 12px 0; align-items: start; }
figure { margin: 0; padding: 14px 16px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
figure img { width: 100%; height: auto; display: block; }
figcaption { font-size: 13px; color: var(--soft); margin-top: 8px; }
figure h3 { margin-bottom: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); padding: 6px 10px;
  white-space: nowrap; vertical-align: bottom; }
table.sortable th { cursor: pointer; user-select: none; }
th[aria-sort="ascending"]::after { content: " \\2191"; }
th[aria-sort="descending"]::after { content: " \\2193"; }
td { border-bottom: 1px solid var(--line); padding: 5px 10px; vertical-align: top; }
tbody tr:nth-child(even) { background: var(--stripe); }
td.number, th.number { text-align: right; white-space: nowrap; }
td.text { overflow-wrap: anywhere; }
td.tight, td.code { white-space: nowrap; }
.scroll { max-height: 560px; overflow: auto; }
.scroll thead th { position: sticky; top: 0; background: var(--card); }
.pill { display: inline-block; border-radius: 999px; padding: 1px 10px; font-size: 12.5px; font-weight: 600; }
.pill.good { background: var(--good-ground); color: var(--good); }
.pill.bad { background: var(--bad-ground); color: var(--bad); }
.pill.none { background: var(--line); color: var(--soft); }
.filter { display: flex; flex-wrap: wrap; gap: 10px; margin: 0 0 10px; align-items: center; }
.filter input, .filter select { font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line);
  border-radius: 6px; padding: 5px 10px; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 0; font-size: 14px; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; overflow-wrap: anywhere; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(460px, 100%), 1fr)); gap: 14px; }
.columns .card { margin: 0; }
footer { margin-top: 44px; color: var(--soft); font-size: 13px; border-top: 1px solid var(--line); padding-top: 12px; }
@media print { .filter, nav { display: none; } .scroll { max-height: none; } body { background: #fff; } }
"""

JS = """
document.querySelectorAll("table.sortable").forEach(function (table) {
  table.querySelectorAll("th").forEach(function (head, column) {
    head.tabIndex = 0;
    function sort() {
      var up = head.getAttribute("aria-sort") === "descending";
      table.querySelectorAll("th").forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      var body = table.tBodies[0];
      Array.from(body.rows).map(function (row) {
        var cell = row.cells[column];
        var raw = cell.dataset.value;
        return { row: row, number: raw === undefined ? null : raw === "" ? NaN : Number(raw), text: cell.textContent };
      }).sort(function (a, b) {
        if (a.number !== null && b.number !== null) {
          if (isNaN(a.number) || isNaN(b.number)) { return (isNaN(a.number) ? 1 : 0) - (isNaN(b.number) ? 1 : 0); }
          return up ? a.number - b.number : b.number - a.number;
        }
        return up ? a.text.localeCompare(b.text) : b.text.localeCompare(a.text);
      }).forEach(function (item) { body.appendChild(item.row); });
    }
    head.addEventListener("click", sort);
    head.addEventListener("keydown", function (event) { if (event.key === "Enter") { sort(); } });
  });
});
document.querySelectorAll(".filter").forEach(function (bar) {
  var table = document.getElementById(bar.dataset.table);
  var text = bar.querySelector("input"), kind = bar.querySelector("select"), count = bar.querySelector("span");
  function apply() {
    var wanted = text.value.toLowerCase(), shown = 0;
    Array.from(table.tBodies[0].rows).forEach(function (row) {
      var fits = row.textContent.toLowerCase().indexOf(wanted) >= 0
        && (!kind || kind.value === "" || row.dataset.kind === kind.value);
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    count.textContent = shown.toLocaleString("en") + " rows";
  }
  text.addEventListener("input", apply);
  if (kind) { kind.addEventListener("change", apply); }
  apply();
});
"""
