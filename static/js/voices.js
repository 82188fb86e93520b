// Lists of voices: what is chosen or typed filters them at once, and samples play one at a time.
//
// In a [data-filtered] part, each [data-filter="tier"] is compared with data-tier of each [data-filtered-item], and
// [data-filter="words"] with the words in data-words. The server does the same without script.
(() => {
  for (const part of document.querySelectorAll("[data-filtered]")) filtered(part);

  function filtered(part) {
    const items = [...part.querySelectorAll("[data-filtered-item]")];
    const controls = [...part.querySelectorAll("[data-filter]")];
    const form = part.querySelector("[data-filter-form]");
    for (const element of part.querySelectorAll("[data-filters]")) element.hidden = false;
    const isChosen = (control) => control.type !== "radio" || control.checked;

    function show() {
      const wanted = controls.filter((control) => isChosen(control) && control.value.trim());
      for (const item of items) item.hidden = !wanted.every((control) => has(item, control));
      for (const group of part.querySelectorAll("[data-filtered-group]")) group.hidden = isEmpty(group);
      const found = items.filter((item) => !item.hidden).length;
      part.querySelector("[data-none]").hidden = found > 0;
      const told = part.querySelector("[data-found]");
      if (told) told.textContent = `${found} of ${items.length} voices`;
    }

    part.addEventListener("input", (event) => { if (event.target.matches("[data-filter]")) show(); });
    // Enter in the search of a picker would send the form around it nowhere, but must not speak either.
    part.addEventListener("keydown", (event) => {
      if (!form && event.key === "Enter" && event.target.matches("input[type=search]")) event.preventDefault();
    });
    if (!form) return;
    form.querySelector("button").hidden = true;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
    });
    addEventListener("pageshow", show); // a browser going back fills in what was chosen
  }

  function has(item, control) {
    const name = control.dataset.filter;
    if (name !== "words") return item.dataset[name] === control.value;
    return control.value.toLowerCase().trim().split(/\s+/).every((word) => ` ${item.dataset.words}`.includes(` ${word}`));
  }

  // A heading is empty if only hidden voices follow it up to the next heading.
  function isEmpty(group) {
    for (let next = group.nextElementSibling; next?.matches("[data-filtered-item]"); next = next.nextElementSibling) {
      if (!next.hidden) return false;
    }
    return true;
  }

  const sample = new Audio();
  let playing = null;

  function endSample() {
    sample.pause();
    playing?.classList.remove("play--on");
    playing?.removeAttribute("aria-current");
    playing = null;
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-sample]");
    if (!link) return;
    event.preventDefault();
    const again = link === playing; // a second click ends it
    endSample();
    if (again) return;
    for (const other of document.querySelectorAll("audio")) other.pause();
    playing = link;
    link.classList.add("play--on");
    link.setAttribute("aria-current", "true");
    sample.src = link.href;
    sample.play().catch(endSample);
  });
  sample.addEventListener("ended", endSample);
  document.addEventListener("play", endSample, true); // of a player of the page
})();
