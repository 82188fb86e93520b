// Small comforts on every page; everything works without them.

// The account menu closes on Escape and on a click elsewhere.
document.addEventListener("click", (event) => closeMenus((menu) => !menu.contains(event.target)));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenus((menu) => { menu.querySelector("summary").focus(); return true; });
});

function closeMenus(wanted) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (wanted(menu)) menu.open = false;
}

// A password typed once can be looked at instead of typed twice.
for (const input of document.querySelectorAll("input[data-reveal]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "reveal";
  button.textContent = "Show";
  button.setAttribute("aria-controls", input.id);
  button.setAttribute("aria-label", "Show password");
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
    button.setAttribute("aria-label", shown ? "Hide password" : "Show password");
  });
  input.after(button);
}

// What the browser's clock is set to, for a new account; its page shows and changes it.
for (const input of document.querySelectorAll("input[data-time-zone]")) {
  input.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}
