// The draft of the studio, kept by the server as one types. Each save names the version this page has seen: if another page
// has saved since, both texts are kept and one is asked which to go on with. Without script there are buttons for the same.
(() => {
  const form = document.querySelector("form[data-studio]");
  const text = form.elements.text;
  const state = form.querySelector("[data-draft-state]");
  const changed = form.querySelector("[data-draft-changed]");
  const former = form.querySelector("[data-draft-former]");
  const QUIET_MS = 1200; // after the last key
  const LATEST_MS = 8000; // while one types on and on
  const RETRY_MS = 20000;
  const KEEPALIVE_BYTES = 60000; // browsers send no more from a page that is left

  const typed = () => JSON.stringify([...new FormData(form)].filter(([name]) => ["text", "voice", "speed", "pause_seconds"].includes(name)));
  // What the server has. Who types before this script is there has changed it already.
  let kept = "draftUnsaved" in form.dataset || text.value !== text.defaultValue ? "" : typed();
  let since = 0; // when the first change was made that it does not have
  let timer = 0;
  let isBusy = false;
  const isAsking = () => !changed.hidden;

  function say(words) {
    state.hidden = !words;
    if (state.textContent !== words) state.textContent = words;
  }

  function due(milliseconds) {
    clearTimeout(timer);
    timer = setTimeout(save, milliseconds);
  }

  function note() {
    if (typed() === kept || isAsking()) return;
    since ||= Date.now();
    say("");
    due(Math.max(0, Math.min(QUIET_MS, since + LATEST_MS - Date.now())));
  }

  function fields(more = {}) {
    const all = new FormData(form);
    all.delete("file");
    all.set("csrfmiddlewaretoken", document.cookie.match(/(?:^|; )csrftoken=([^;]*)/)?.[1] ?? form.elements.csrfmiddlewaretoken.value);
    for (const [name, value] of Object.entries(more)) all.set(name, value);
    return new URLSearchParams(all);
  }

  const post = (body, more = {}) => fetch(form.dataset.draft, { method: "POST", body, headers: { Accept: "application/json" }, ...more });

  async function save() {
    if (isBusy || isAsking()) return;
    const now = typed();
    if (now === kept) return;
    isBusy = true;
    try {
      const answer = await post(fields());
      const json = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
      if (answer.ok) took(now, json);
      else if (answer.status === 409) ask(json);
      else if (answer.status === 401) say("Draft not saved: you are logged out");
      else if (answer.status === 422) say("Draft not saved: too long");
      else again();
    } catch {
      again();
    } finally {
      isBusy = false;
    }
    if (typed() !== kept && !timer) note();
  }

  function again() {
    say("Draft not saved yet");
    due(RETRY_MS);
  }

  function took(now, json) {
    timer = since = 0;
    kept = now;
    form.elements.draft_version.value = json.version;
    form.elements.replaces.value = "";
    form.querySelector("[data-draft-again]")?.remove();
    former.hidden = !json.former_text;
    former.querySelector("[data-draft-former-text]").textContent = [...json.former_text].slice(0, 60).join("");
    say("Draft saved");
  }

  // Another page has saved. The version is the other's now, so that keeping this text puts the other one aside.
  function ask(json) {
    timer = 0;
    form.elements.draft_version.value = json.version;
    if (json.text === text.value.replace(/\r\n?/g, "\n")) return note();
    form.elements.replaces.value = "1";
    changed.querySelector("[data-draft-other]").textContent = json.text;
    changed.hidden = false;
    say("Draft not saved");
  }

  function answered() {
    changed.hidden = true;
    save();
  }

  changed.querySelector("[data-draft-keep]").addEventListener("click", (event) => {
    event.preventDefault();
    answered();
  });
  // First this text is kept, then the two change places: so neither is lost.
  changed.querySelector("[data-draft-take]").addEventListener("click", async (event) => {
    event.preventDefault();
    const href = event.currentTarget.href;
    clearTimeout(timer);
    isBusy = true;
    try {
      const answer = await post(fields());
      const json = answer.ok ? await answer.json() : {};
      const swapped = answer.ok && await post(fields({ draft_version: json.version, replaces: "", restore: "1" }));
      if (swapped?.ok) return location.assign(href);
      say("Not possible just now: try again in a moment");
    } catch {
      say("No connection: try again in a moment");
    } finally {
      isBusy = false;
    }
  });

  form.addEventListener("input", (event) => { if (event.target.form === form) note(); });
  note(); // of a form that was sent after the session had ended
  // Who leaves in the middle of a sentence finds it again.
  addEventListener("pagehide", () => {
    if (typed() === kept || isBusy || isAsking()) return;
    const body = fields();
    post(body, { keepalive: body.toString().length < KEEPALIVE_BYTES }).catch(() => {});
  });
  document.addEventListener("visibilitychange", () => { if (document.hidden) save(); });
})();
