"use strict";

// A page that is looked at asks for its live parts again every few seconds; a hidden one is left alone.
const REFRESH_MS = 4000;

function refresh() {
  if (document.visibilityState === "visible") {
    htmx.trigger(document.body, "refresh");
  }
}

setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", refresh);

// A form sent twice acts once; the server makes sure of it, this spares the second click.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) {
    event.preventDefault();
    return;
  }
  event.target.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
  });
});

// A menu closes when one clicks elsewhere or presses Escape.
function closeMenus(except) {
  document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (menu !== except) menu.open = false;
  });
}
document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenus(null);
});

// A table that is wider than the page can be scrolled by the keyboard too.
function reachTables() {
  document.querySelectorAll(".sheet").forEach((sheet) => {
    if (sheet.scrollWidth > sheet.clientWidth) sheet.tabIndex = 0;
    else sheet.removeAttribute("tabindex");
  });
}
document.addEventListener("DOMContentLoaded", reachTables);
document.addEventListener("htmx:afterSettle", reachTables);
window.addEventListener("resize", reachTables);

// A secret that is shown once can be copied by one press.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
  button.textContent = "Copied";
});

// What is fetched into a drawer opens it; Escape and the cross close it.
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "drawer-content") event.target.closest("dialog").showModal();
});

// What is hidden is back on the next page.
document.addEventListener("click", (event) => {
  const hidden = event.target.closest("[data-hide]")?.closest("[data-hidable]");
  if (!hidden) return;
  hidden.remove();
  document.getElementById("main").focus();
});
