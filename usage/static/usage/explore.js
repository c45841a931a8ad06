"use strict";

// An address says what is asked and nothing else: fields left empty stay out of it.
document.querySelector(".explore-form")?.addEventListener("submit", (event) => {
  for (const field of event.target.elements) {
    if (field.name && !field.value) field.disabled = true;
  }
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll(".explore-form :disabled").forEach((field) => {
    field.disabled = false;
  });
});
