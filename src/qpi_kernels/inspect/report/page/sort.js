"use strict";
// A button in each head of a sortable table; Tab and Enter or Space work as in any button.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows];
      const known = rows.filter((row) => key(row) !== "" && key(row) !== "-");
      known.sort((one, other) => compare(key(one), key(other)));
      if (down) known.reverse();
      // What is not known comes last in either order.
      table.tBodies[0].append(...known, ...rows.filter((row) => !known.includes(row)));
    });
  });
}
function compare(one, other) {
  const [first, second] = [Number(one), Number(other)];
  const numbers = !Number.isNaN(first) && !Number.isNaN(second);
  return numbers ? first - second : one.localeCompare(other);
}
