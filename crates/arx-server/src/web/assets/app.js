// What makes the console quicker to use. Everything works without it.
"use strict";

(() => {
  const root = document.documentElement;
  const kept = (() => { try { return localStorage.getItem("arx-theme"); } catch { return null; } })();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;

  const isDark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

  const toggleTheme = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("arx-theme", root.dataset.theme); } catch { /* not kept then */ }
  };

  // Relative times go on while the page stands.
  const span = (s) => s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min`
    : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} days`;
  const tick = () => {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const s = Math.round((Date.now() - Date.parse(time.dateTime)) / 1000);
      time.textContent = Math.abs(s) < 2 ? "now" : s > 0 ? `${span(s)} ago` : `in ${span(-s)}`;
    }
  };

  // What needs a script is shown once there is one.
  const reveal = (part) => {
    for (const shown of part.querySelectorAll("[data-js]")) shown.hidden = false;
  };

  // A part without what changes by itself.
  const shape = (part) => {
    const copy = part.cloneNode(true);
    reveal(copy);
    for (const time of copy.querySelectorAll("time")) time.textContent = "";
    return copy.innerHTML;
  };

  // Puts the newest form of marked parts of this page in their place.
  let busy = false, again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.ok && !answer.redirected) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-live]")) {
          const other = fresh.getElementById(part.id);
          // Nothing changes under somebody who is typing or choosing in it.
          if (!other || part.contains(document.activeElement) && part.querySelector("form")) continue;
          if (shape(other) !== shape(part)) {
            part.replaceChildren(...other.childNodes);
            reveal(part);
            part.classList.remove("flash"); void part.offsetWidth; part.classList.add("flash");
          }
        }
        tick();
      }
    } catch { /* the next event tries again */ }
    busy = false;
    if (again) { again = false; setTimeout(refresh, 500); }
  };

  const listen = () => {
    const source = document.body.dataset.events;
    if (!source || !window.EventSource) return;
    let timer = 0;
    const soon = () => { if (!timer) timer = setTimeout(() => { timer = 0; refresh(); }, 400); };
    const events = new EventSource(source);
    for (const name of ["status", "progress", "item", "lagged"]) events.addEventListener(name, soon);
    events.addEventListener("log", (event) => {
      const log = document.getElementById("log");
      if (!log) return;
      const { level, text, at } = JSON.parse(event.data);
      const line = document.createElement("li");
      line.textContent = `${at.slice(11, 19)}  ${level}  ${text}`;
      log.append(line);
      while (log.children.length > 500) log.firstChild.remove();
    });
  };

  const places = { o: "/", r: "/runs", a: "/approvals", w: "/workflows", e: "/effects", l: "/audit" };
  let prefix = false;
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target;
    if (at.matches("input, textarea, select, [contenteditable]")) {
      if (event.key === "Escape") at.blur();
      return;
    }
    if (prefix && places[event.key]) { location.assign(places[event.key]); return; }
    prefix = event.key === "g";
    if (prefix) setTimeout(() => { prefix = false; }, 1200);
    const rows = [...document.querySelectorAll("tbody tr")].filter((row) => row.querySelector("a") && !row.hidden);
    const here = rows.findIndex((row) => row.hasAttribute("data-selected"));
    if (event.key === "/") {
      const field = document.querySelector("[data-find]");
      if (field) { event.preventDefault(); field.focus(); }
    } else if (event.key === "?") {
      document.getElementById("keys")?.showModal();
    } else if (event.key === "t") {
      toggleTheme();
    } else if ((event.key === "j" || event.key === "k") && rows.length) {
      const next = Math.max(0, Math.min(rows.length - 1, here + (event.key === "j" ? 1 : -1)));
      rows[here]?.removeAttribute("data-selected");
      rows[next].setAttribute("data-selected", "");
      rows[next].scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && here >= 0 && at === document.body) {
      rows[here].querySelector("a").click();
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    reveal(document);
    document.addEventListener("click", async (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.act === "theme") toggleTheme();
      if (button.dataset.act === "keys") document.getElementById("keys")?.showModal();
      if (button.dataset.act === "all") {
        const boxes = document.querySelectorAll("input[name=action]");
        const on = ![...boxes].every((box) => box.checked);
        for (const box of boxes) box.checked = on;
      }
      if (button.dataset.copy !== undefined) {
        try {
          await navigator.clipboard.writeText(button.dataset.copy);
          const before = button.textContent;
          button.textContent = "copied";
          setTimeout(() => { button.textContent = before; }, 1200);
        } catch { /* the text stands beside the button */ }
      }
    });
    for (const field of document.querySelectorAll("input[data-filter]")) {
      field.addEventListener("input", () => {
        const wanted = field.value.toLowerCase();
        for (const row of document.querySelectorAll(`#${field.dataset.filter} tbody tr`)) {
          row.hidden = !row.textContent.toLowerCase().includes(wanted);
        }
      });
    }
    for (const form of document.querySelectorAll("form[data-confirm]")) {
      form.addEventListener("submit", (event) => {
        if (!confirm(form.dataset.confirm)) event.preventDefault();
      });
    }
    document.addEventListener("keydown", keys);
    tick();
    setInterval(tick, 10000);
    listen();
  });
})();
