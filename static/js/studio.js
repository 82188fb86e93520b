// The studio with script: counts as one types, speaks without leaving the page. The server decides; this only says so sooner.
// `player.js` plays what comes of it.
(() => {
  const form = document.querySelector("form[data-studio]");
  const text = form.elements.text;
  const button = form.querySelector("button[data-busy]");
  const label = button.querySelector("[data-label]");
  const labelText = label.textContent;
  const priceTag = button.querySelector("[data-price-tag]");
  const result = document.querySelector("[data-result]");
  const recent = document.querySelector("[data-recent]");
  const missing = form.querySelector("[data-missing]");
  const problem = form.querySelector("[data-problem]");
  const charactersMax = Number(form.dataset.charactersMax);
  const number = new Intl.NumberFormat("en-US");
  const day = dayIn(form.dataset.zone);
  const isFrozen = "frozen" in form.dataset; // then none of the balance can be spent
  let available = Number(form.dataset.available);
  let sent = null; // the body the form's key was last used for; a key serves one body only
  let busy = false;
  let isLive = false; // what is being made is in the player
  const RECENT = 5; // texts in the list
  const LOOK_LIVE_SECONDS = 10; // how often a long text is looked after while the event stream tells of it
  const MAY_HAVE_PARTS = 5000; // characters of a text without headings
  const LISTEN_AFTER_MS = 500; // what is made sooner is played when it is whole

  // Exactly as the server counts: Unicode code points after NFC, a line end is one character.
  const normalised = () => text.value.normalize("NFC").replace(/\r\n?/g, "\n");
  const count = () => [...normalised()].length;
  const voice = () => form.querySelector("input[name=voice]:checked");
  const credits = () => count() * Number(voice()?.dataset.price || 0);

  // How long it sounds, about: by the pace of the voice, as it was measured.
  const seconds = () => count() / (Number(voice()?.dataset.pace || 1) * Number(form.elements.speed.value));

  function show() {
    const characters = count();
    const counter = form.querySelector("[data-characters]");
    counter.textContent = number.format(characters);
    counter.parentElement.classList.toggle("error", characters > charactersMax);
    form.querySelector("[data-speed]").textContent = `${Number(form.elements.speed.value)} ×`;
    button.querySelector("[data-credits]").textContent = number.format(credits());
    button.querySelector("[data-plural]").hidden = credits() === 1;
    priceTag.hidden = busy || !credits();
    form.querySelector("[data-voice-name]").textContent = voice()?.dataset.name ?? "";
    const left = form.querySelector("[data-left]");
    if (left) left.textContent = number.format(Math.max(0, available - credits()));
    for (const element of form.querySelectorAll("[data-if-priced]")) element.hidden = !credits();
    form.querySelector("[data-length]").textContent = player.clock(Math.round(seconds()));
    // While the trial is offered or on its way, the page says so above: nothing needs to be bought.
    const isBeginning = document.querySelector("[data-begin]") && available < credits();
    if (!isFrozen && !isBeginning) showMissing(credits(), available);
    button.disabled = characters > charactersMax; // not while busy: that takes the focus from who pressed it by key
  }

  function showMissing(needed, has) {
    missing.hidden = needed <= has;
    missing.querySelector("[data-missing-credits]").textContent = number.format(needed - has);
    missing.querySelector("[data-missing-needed]").textContent = number.format(needed);
    missing.querySelector("[data-missing-available]").textContent = number.format(has);
  }

  function say(element, message) {
    element.textContent = message || "";
    element.hidden = !message;
  }

  function sayProblem(message) {
    problem.querySelector("[data-problem-text]").textContent = message || "";
    problem.hidden = !message;
    if (message) problem.scrollIntoView({ block: "nearest" });
  }

  function showErrors(errors) {
    for (const element of form.querySelectorAll("[data-error]")) say(element, errors[element.dataset.error]?.join(" "));
    if (errors.speed || errors.pause_seconds) form.querySelector("[data-manner]").open = true;
    if (errors.text) text.setAttribute("aria-invalid", "true");
    else text.removeAttribute("aria-invalid");
    sayProblem(errors.key?.join(" "));
    form.querySelector("[data-error]:not([hidden])")?.scrollIntoView({ block: "nearest" });
  }

  function setBusy(value) {
    busy = value;
    button.setAttribute("aria-busy", String(value));
    label.textContent = value ? button.dataset.busy : labelText;
    show();
  }

  // randomUUID exists on https and localhost only.
  const freshKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const csrfToken = () => document.cookie.match(/(?:^|; )csrftoken=([^;]*)/)?.[1] ?? form.elements.csrfmiddlewaretoken.value;
  const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

  // All that decides what is spoken: the text as the server counts it, the voice, how it is read.
  function settings() {
    const entries = [...new FormData(form)].filter(([name]) => !["key", "csrfmiddlewaretoken", "draft_version", "replaces", "file"].includes(name));
    return entries.map(([name, value]) => [name, name === "text" ? normalised() : value]);
  }

  async function post() {
    // The same body keeps its key, so that trying again after a lost answer cannot cost twice.
    const body = JSON.stringify(settings());
    if (sent !== null && sent !== body) form.elements.key.value = freshKey();
    sent = body;
    const fields = new FormData(form);
    fields.delete("file"); // that goes to an address of its own
    fields.set("csrfmiddlewaretoken", csrfToken()); // a login in another tab has made this page's own worthless
    for (;;) {
      const answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "application/json", Prefer: "respond-async" } });
      if (answer.status !== 409) return answer;
      await wait(Number(answer.headers.get("Retry-After")) || 2);
    }
  }

  async function speak() {
    const spoken = { text: normalised(), voice: voice()?.dataset.name, print: smallPrint() };
    showErrors({});
    document.querySelector(".messages").replaceChildren(); // "nothing is charged yet" is over
    setBusy(true);
    const patience = setTimeout(() => listen(spoken), LISTEN_AFTER_MS);
    try {
      const answer = await post();
      let json = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
      if (answer.status === 202) {
        clearTimeout(patience);
        available = json.available;
        if (!isLive) listen(spoken);
        json = await follow(spoken, json);
        if (json.state === "done") showResult(spoken, json);
        else renew(json.failure);
      } else if (answer.status === 201) showResult(spoken, json);
      else if (answer.status === 401) sayProblem("You are logged out. Log in in another tab, then press Speak again: your text stays here.");
      else if (answer.status === 422) showErrors(json.errors);
      else if (answer.status === 402) refuse(json.available);
      else if (answer.status === 410) renew(json.error);
      else sayProblem(json.error || "This did not work. Please reload the page and try again.");
    } catch {
      sayProblem("No connection. Press Speak to try again; you will not be charged twice.");
    } finally {
      clearTimeout(patience);
      if (isLive) stopListening();
      setBusy(false);
    }
  }

  // A long text is spoken by a worker: how far it is, part by part, until it is over, and a button that stops it.
  async function follow(spoken, pending, card = newCard(pending)) {
    const stop = card.querySelector("[data-stop]");
    const list = card.querySelector("[data-progress-parts]");
    let nextEnd = Infinity; // where the part ends that is being spoken
    const tell = (found) => {
      card.querySelector("[data-bar]").setAttribute("width", Math.round((100 * found.characters_spoken) / found.characters));
      card.querySelector("[data-spoken]").textContent = number.format(found.characters_spoken);
    };
    // Rows change only with their state, so that who has the focus on one keeps it.
    const tellParts = (found = []) => {
      list.hidden = !found.length;
      for (const [index, part] of found.entries()) {
        const row = list.children[index];
        if (row?.dataset.state === part.state) continue;
        const fresh = player.partRow(document.querySelector("template[data-part-template]"), part, false);
        if (row) row.replaceWith(fresh);
        else list.append(fresh);
      }
      nextEnd = found.find((part) => part.state !== "made")?.to ?? Infinity;
    };
    list.addEventListener("click", (event) => {
      const link = event.target.closest("[data-part]");
      if (!link || event.metaKey || event.ctrlKey) return;
      event.preventDefault();
      isLive = true;
      player.listen(link.href, spoken, link.closest("li").querySelector("[data-part-name]").textContent);
    });
    stop?.addEventListener("submit", (event) => {
      event.preventDefault();
      stop.hidden = true;
      const body = new URLSearchParams({ csrfmiddlewaretoken: csrfToken() });
      fetch(pending.stop_url, { method: "POST", body, headers: { Accept: "application/json" } })
        .then((answer) => { stop.hidden = answer.ok; }, () => { stop.hidden = false; });
    });
    // The event stream says how far it is. A text that it does not name (any more), or a part of which is made, is looked after.
    let look = () => {};
    const progress = ({ detail }) => {
      const found = detail.find(({ id }) => id === pending.id);
      if (found) tell(found);
      if (!found || found.characters_spoken >= nextEnd) look();
    };
    document.addEventListener("vocalis:progress", progress);
    try {
      for (;;) {
        const answer = await fetch(pending.progress_url, { headers: { Accept: "application/json" } }).catch(() => null);
        if (answer?.ok) { // else it is spoken meanwhile
          const found = await answer.json();
          tell(found);
          tellParts(found.parts);
          if (found.state !== "pending") return found;
        }
        const isTold = document.querySelector("[data-live]")?.dataset.live === "live";
        await Promise.race([wait(isTold ? LOOK_LIVE_SECONDS : 1), new Promise((resolve) => { look = resolve; })]);
      }
    } finally {
      document.removeEventListener("vocalis:progress", progress);
      card.remove();
    }
  }

  function newCard(pending) {
    const card = document.querySelector("template[data-progress]").content.firstElementChild.cloneNode(true);
    card.querySelector("[data-all]").textContent = number.format(pending.characters);
    result.before(card);
    return card;
  }

  // A text that was being made when the page was loaded: it can be heard from its begin.
  async function resume(card) {
    const { id, address, stopAddress, voice: name, text: begin } = card.dataset;
    const spoken = { text: begin, voice: name, print: null };
    const found = await follow(spoken, { id, progress_url: address, stop_url: stopAddress }, card);
    if (found.state === "failed") sayProblem(found.failure);
    else if (!busy) showResult(spoken, found); // else it is in the list when the page is loaded again
  }

  // What takes longer is heard while it is made. The answer to the form then completes it.
  function listen(spoken) {
    isLive = true;
    player.listen(`${form.dataset.listen}?key=${encodeURIComponent(form.elements.key.value)}`, spoken);
  }

  function stopListening() {
    isLive = false;
    player.discard();
  }

  function refuse(has) {
    available = has;
    show();
    showMissing(credits(), has);
    missing.scrollIntoView({ block: "nearest" });
  }

  // This key's audio is lost: pressing Speak again is a new request.
  function renew(message) {
    sent = null;
    form.elements.key.value = freshKey();
    sayProblem(message);
  }

  function showResult(spoken, answer) {
    available = answer.available;
    sent = null;
    form.elements.key.value = freshKey();
    isLive = false;
    const take = takeOf(spoken, answer);
    document.querySelector("[data-empty]")?.remove();
    recent.prepend(take);
    const missing = result.querySelector("[data-result-missing]");
    for (const old of [...recent.children].slice(RECENT)) old.remove();
    player.finish(take);
    if (document.activeElement === button) player.focus(); // or the space bar that is to pause speaks, and costs, again
    const back = answer.credits_given_back;
    missing.hidden = !back;
    const gap = answer.characters_left_out ? `${number.format(answer.characters_left_out)} characters could not be spoken, tried several times, and were left out. ` : "";
    missing.textContent = back ? `${gap}${player.many(back, "credit")} came back.` : "";
  }

  // A row of the list, as templates/usage/_take.html has it.
  function takeOf(spoken, answer) {
    const take = document.querySelector("template[data-take-template]").content.firstElementChild.cloneNode(true);
    const called = answer.name;
    const put = (name, value) => { take.querySelector(`[data-${name}]`).textContent = value; };
    const link = (name, href, words) => {
      const element = take.querySelector(`[data-${name}]`);
      element.href = href;
      if (words) element.setAttribute("aria-label", `${words}: ${player.cut(called, 60)}`);
    };
    take.dataset.audio = answer.audio_url;
    take.dataset.words = answer.words_url ?? "";
    if (/^ {0,3}#{1,3}\s/m.test(spoken.text) || (answer.characters ?? spoken.text.length) > MAY_HAVE_PARTS) take.dataset.parts = "";
    take.dataset.characters = answer.characters ?? [...spoken.text].length;
    take.dataset.charactersSpoken = answer.characters_spoken ?? take.dataset.characters;
    take.dataset.seconds = answer.duration_seconds;
    put("title", player.cut(called, 160));
    put("voice", spoken.voice);
    put("clock", player.clock(Math.round(answer.duration_seconds)));
    put("cost", player.many(answer.credits, "credit"));
    if (spoken.print) take.querySelector("[data-print]").append(spoken.print);
    link("play", `${form.action}${answer.id}/#player`, "Play");
    link("title", `${form.action}${answer.id}/`);
    link("again", `${form.action}?again=${answer.id}`, "Use this text again");
    put("download", `Download: ${player.cut(called, 60)}`);
    put("until", answer.audio_until ? ` · Kept until ${day.format(new Date(answer.audio_until))}` : "");
    for (const each of take.querySelectorAll("[data-format]")) each.href = `${answer.audio_url}?format=${each.dataset.format}&download=1`;
    for (const each of take.querySelectorAll("[data-words-format]")) {
      each.href = `${answer.words_url}?format=${each.dataset.wordsFormat}&download=1`;
      each.hidden = !answer.words_url;
    }
    return take;
  }

  function smallPrint() {
    const print = voice()?.closest(".voice").querySelector(".print").cloneNode(true);
    print?.classList.add("print--s");
    return print;
  }

  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("formaction")) return; // a button that does not speak
    event.preventDefault();
    if (!busy) speak();
  });
  // A file is read as soon as it is chosen; the button is for who has no script.
  form.elements.file.addEventListener("change", (event) => {
    event.stopPropagation();
    if (event.target.files.length) form.requestSubmit(form.querySelector("[data-upload]"));
  });
  form.addEventListener("input", (event) => {
    if (event.target.form !== form) return; // of the filters in the picker
    showErrors({});
    show();
  });
  document.addEventListener("vocalis:balance", (event) => {
    if (!isFrozen) available = event.detail.available;
    show();
  });
  // A star changes at once; its voice is among the first from the next page on.
  form.addEventListener("click", async (event) => {
    const star = event.target.closest("[data-star]");
    if (!star || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    const body = new URLSearchParams({ csrfmiddlewaretoken: csrfToken(), [star.name]: star.value });
    const mark = (isOn) => {
      star.setAttribute("aria-pressed", String(isOn));
      star.name = isOn ? "unfavourite" : "favourite";
    };
    const wanted = star.name === "favourite";
    mark(wanted);
    const answer = await fetch(star.formAction, { method: "POST", body, headers: { Accept: "application/json" } }).catch(() => null);
    if (answer?.ok) return;
    mark(!wanted);
    const json = await answer?.json().catch(() => ({}));
    showErrors({ voice: [json?.errors?.voice?.join(" ") || json?.error || "This could not be saved. Try again in a moment."] });
  });
  // Cmd or Ctrl and Enter speaks, as in any editor.
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey) && !button.disabled) form.requestSubmit();
  });
  show();
  const pendingCard = document.querySelector("[data-progress-card][data-id]");
  if (pendingCard) resume(pendingCard);

  // Days as the server writes them. A browser may not know a zone that is new or has another name there.
  function dayIn(timeZone) {
    const parts = { day: "numeric", month: "long", year: "numeric" };
    try {
      return new Intl.DateTimeFormat("en-GB", { ...parts, timeZone });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return new Intl.DateTimeFormat("en-GB", { ...parts, timeZone: "UTC" });
    }
  }
})();
