"use strict";
(() => {
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("charts").textContent);
  const ids = JSON.parse(document.getElementById("ids").textContent);
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // Plotly draws in colours of its own; these follow the page's.
  function themed(layout) {
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), tickcolor: colour("--line") };
    const themedLayout = { "font.color": colour("--text"), "hoverlabel.bgcolor": colour("--card"),
      "hoverlabel.font.color": colour("--text"), "hoverlabel.bordercolor": colour("--line") };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      for (const [key, value] of Object.entries(axis)) themedLayout[`${name}.${key}`] = value;
    }
    return themedLayout;
  }

  // A chart is drawn once it is about to be seen: a page with many opens at once.
  const drawn = new Set();
  function draw(element) {
    const figure = figures[ids.indexOf(element.id.slice("chart-".length))];
    const options = { displaylogo: false, responsive: true, displayModeBar: false };
    drawn.add(element);
    return Plotly.newPlot(element, figure.data, figure.layout, options)
      .then(() => Plotly.relayout(element, themed(element.layout)));
  }
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((e) => e.isIntersecting && !drawn.has(e.target))) draw(entry.target);
  }, { rootMargin: "400px" });
  for (const id of ids) near.observe(document.getElementById(`chart-${id}`));
  addEventListener("beforeprint", () => {
    for (const id of ids) if (!drawn.has(document.getElementById(`chart-${id}`))) draw(document.getElementById(`chart-${id}`));
  });
  const repaint = () => drawn.forEach((element) => Plotly.relayout(element, themed(element.layout)));

  const buttons = [...document.querySelectorAll("[data-theme]:is(button)")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      if (button.dataset.theme === "auto") root.removeAttribute("data-theme");
      else root.dataset.theme = button.dataset.theme;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      repaint();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "copied";
      } catch {  // not everywhere may a page write there: then it is at least selected
        getSelection().selectAllChildren(text);
        button.textContent = "selected: press Ctrl-C";
      }
      setTimeout(() => { button.textContent = "copy"; }, 3000);
    });
  }
})();
