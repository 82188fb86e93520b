// A secret or an example can be copied by a button. Without this, a click on a secret selects it.

for (const text of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn btn--s";
  button.textContent = "Copy";
  button.setAttribute("aria-describedby", text.id);
  button.addEventListener("click", async () => {
    button.textContent = (await copied(text)) ? "Copied" : "Selected: copy it by hand";
  });
  const head = text.closest(".code")?.querySelector(".code__head") ?? document.querySelector(`[data-copy-head="${text.id}"]`);
  if (head) {
    button.classList.add("btn--ghost");
    head.append(button);
  } else text.after(button);
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text.textContent);
    return true;
  } catch {  // not allowed, or not a page by HTTPS
    getSelection().selectAllChildren(text);
    return false;
  }
}
