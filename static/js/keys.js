// A secret can be copied by a button. Without this, a click on it selects all of it.

for (const text of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn btn--s";
  button.textContent = "Copy";
  button.setAttribute("aria-describedby", text.id);
  button.addEventListener("click", async () => {
    button.textContent = (await copied(text)) ? "Copied" : "Selected: copy it by hand";
  });
  text.after(button);
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
