for (const table of document.querySelectorAll("table[data-sort]")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(h => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = row => row.cells[i].dataset.v ?? row.cells[i].textContent.toLowerCase();
      const rows = [...body.rows].sort((a, b) => {
        const x = key(a), y = key(b), n = x - y;
        if (x === "" || y === "") return (x === "") - (y === "");
        return (isNaN(n) ? (x < y ? -1 : x > y ? 1 : 0) : n) * (down ? -1 : 1);
      });
      body.append(...rows);
    };
  });
}
