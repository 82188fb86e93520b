// The studio with script: counts as one types, speaks without leaving the page. The server decides; this only says so sooner.
(() => {
  const form = document.querySelector("form[data-studio]");
  const text = form.elements.text;
  const button = form.querySelector("button[data-busy]");
  const buttonLabel = button.textContent;
  const result = document.querySelector("[data-result]");
  const missing = form.querySelector("[data-missing]");
  const problem = form.querySelector("[data-problem]");
  const charactersMax = Number(form.dataset.charactersMax);
  const number = new Intl.NumberFormat("en-US");
  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  let available = Number(form.dataset.available);
  let sent = null; // the body the form's key was last used for; a key serves one body only
  let busy = false;
  let live = null; // the player of what is being made
  const LISTEN_AFTER_MS = 500; // what is made sooner is played when it is whole

  // Exactly as the server counts: Unicode code points after NFC, a line end is one character.
  const normalised = () => text.value.normalize("NFC").replace(/\r\n?/g, "\n");
  const count = () => [...normalised()].length;
  const voice = () => form.querySelector("input[name=voice]:checked");
  const credits = () => count() * Number(voice()?.dataset.price || 0);

  function show() {
    const characters = count();
    const counter = form.querySelector("[data-characters]");
    counter.textContent = number.format(characters);
    counter.parentElement.classList.toggle("error", characters > charactersMax);
    form.querySelector("[data-speed]").textContent = `${Number(form.elements.speed.value)} ×`;
    form.querySelector("[data-credits]").textContent = number.format(credits());
    showMissing(credits(), available);
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

  function showErrors(errors) {
    for (const element of form.querySelectorAll("[data-error]")) say(element, errors[element.dataset.error]?.join(" "));
    if (errors.speed || errors.pause_seconds) form.querySelector("[data-manner]").open = true;
    say(problem, errors.key?.join(" "));
  }

  function setBusy(value) {
    busy = value;
    button.setAttribute("aria-busy", String(value));
    button.textContent = value ? button.dataset.busy : buttonLabel;
    show();
  }

  // randomUUID exists on https and localhost only.
  const freshKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const csrfToken = () => document.cookie.match(/(?:^|; )csrftoken=([^;]*)/)?.[1] ?? form.elements.csrfmiddlewaretoken.value;
  const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

  async function post() {
    // The same body keeps its key, so that trying again after a lost answer cannot cost twice.
    const body = JSON.stringify([normalised(), voice()?.value, form.elements.speed.value, form.elements.pause_seconds.value]);
    if (sent !== null && sent !== body) form.elements.key.value = freshKey();
    sent = body;
    const fields = new FormData(form);
    fields.set("csrfmiddlewaretoken", csrfToken()); // a login in another tab has made this page's own worthless
    for (;;) {
      const answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "application/json", Prefer: "respond-async" } });
      if (answer.status !== 409) return answer;
      await wait(Number(answer.headers.get("Retry-After")) || 2);
    }
  }

  async function speak() {
    const spoken = { text: normalised(), voice: voice()?.nextElementSibling.firstChild.textContent.trim() };
    showErrors({});
    setBusy(true);
    const patience = setTimeout(() => listen(spoken), LISTEN_AFTER_MS);
    try {
      const answer = await post();
      let json = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
      if (answer.status === 202) {
        json = await follow(spoken, json);
        if (json.state === "done") showResult(spoken, json);
        else renew(json.failure);
      } else if (answer.status === 201) showResult(spoken, json);
      else if (answer.status === 401) say(problem, "You are logged out. Log in in another tab, then press Speak again: your text stays here.");
      else if (answer.status === 422) showErrors(json.errors);
      else if (answer.status === 402) available = json.available;
      else if (answer.status === 410) renew(json.error);
      else say(problem, json.error || "This did not work. Please reload the page and try again.");
    } catch {
      say(problem, "No connection. Press Speak to try again; you will not be charged twice.");
    } finally {
      clearTimeout(patience);
      if (live) stopListening();
      setBusy(false);
    }
  }

  // A long text is spoken by a worker: how far it is, until it is over, and a button that stops it.
  async function follow(spoken, pending) {
    const progress = document.querySelector("template[data-progress]").content.firstElementChild.cloneNode(true);
    const stop = progress.querySelector("[data-stop]");
    const show = (found) => {
      progress.querySelector("[data-meter]").value = found.characters_spoken / found.characters;
      put(progress, "spoken", number.format(found.characters_spoken));
    };
    put(progress, "all", number.format(pending.characters));
    available = pending.available;
    if (!live) listen(spoken);
    result.append(progress);
    stop.addEventListener("click", () => {
      stop.disabled = true;
      const body = new URLSearchParams({ csrfmiddlewaretoken: csrfToken() });
      fetch(pending.stop_url, { method: "POST", body, headers: { Accept: "application/json" } })
        .then((answer) => { stop.disabled = answer.ok; }, () => { stop.disabled = false; });
    });
    for (;;) {
      await wait(1);
      const answer = await fetch(pending.progress_url, { headers: { Accept: "application/json" } }).catch(() => null);
      if (!answer?.ok) continue; // it is spoken meanwhile
      const found = await answer.json();
      show(found);
      if (found.state === "pending") continue;
      progress.remove();
      return found;
    }
  }

  // What takes longer is heard while it is made. The answer to the form then completes this player.
  function listen(spoken) {
    archive();
    live = playerOf(spoken);
    live.querySelector("audio").src = `${form.dataset.listen}?key=${encodeURIComponent(form.elements.key.value)}`;
    present("Speaking…", live);
  }

  // Nothing came of it: the form says why.
  function stopListening() {
    live.querySelector("audio").removeAttribute("src");
    live = null;
    result.hidden = true;
    result.replaceChildren();
  }

  // This key's audio is lost: pressing Speak again is a new request.
  function renew(message) {
    sent = null;
    form.elements.key.value = freshKey();
    say(problem, message);
  }

  function showResult(spoken, answer) {
    available = answer.available;
    sent = null;
    form.elements.key.value = freshKey();
    const player = live ?? playerOf(spoken);
    const audio = player.querySelector("audio");
    const store = () => { audio.src = `${answer.audio_url}?format=mp3`; };
    complete(player, answer);
    if (live && audio.readyState > 0 && !audio.error && !audio.ended) {
      // Somebody is listening: the stored file, in which one can seek, takes over at the end.
      result.querySelector("h2").textContent = "Spoken";
      for (const event of ["ended", "error"]) audio.addEventListener(event, store, { once: true });
    } else {
      if (!live) archive();
      store();
      present("Spoken", player);
    }
    live = null;
  }

  function present(title, player) {
    const heading = document.createElement("h2");
    heading.textContent = title;
    result.replaceChildren(heading, player);
    result.hidden = false;
    result.scrollIntoView({ block: "nearest" });
    player.querySelector("audio").play().catch(() => {}); // browsers may refuse sound without a touch
  }

  // The last result makes room for the new one and heads the list of former ones.
  function archive() {
    const former = result.querySelector("audio")?.closest(".stack");
    const recent = document.querySelector("[data-recent]");
    if (!former) return;
    const article = document.createElement("article");
    article.className = "card";
    article.append(former);
    former.querySelector("audio").pause();
    former.querySelector("audio").dispatchEvent(new Event("ended")); // the file takes over from what was live
    recent.querySelector("[data-empty]")?.remove();
    recent.prepend(article);
    for (const old of [...recent.children].slice(5)) old.remove();
  }

  function playerOf(spoken) {
    const player = document.querySelector("template[data-player]").content.firstElementChild.cloneNode(true);
    const characters = [...spoken.text];
    put(player, "text", characters.length > 160 ? `${characters.slice(0, 159).join("")}…` : spoken.text);
    put(player, "voice", spoken.voice);
    put(player, "length", many(characters.length, "character"));
    return player;
  }

  function complete(player, answer) {
    put(player, "seconds", `${answer.duration_seconds.toFixed(1)} s`);
    put(player, "cost", many(answer.credits, "credit"));
    put(player, "until", answer.audio_until ? `Kept until ${day.format(new Date(answer.audio_until))}` : "");
    if (answer.characters_spoken < answer.characters) {
      put(player, "length", `${number.format(answer.characters_spoken)} of ${many(answer.characters, "character")}`);
    }
    player.querySelector("[data-downloads]").hidden = false;
    for (const link of player.querySelectorAll("[data-format]")) {
      link.href = `${answer.audio_url}?format=${link.dataset.format}&download=1`;
    }
    player.querySelector("[data-subtitles]").hidden = !answer.words_url;
    for (const link of player.querySelectorAll("[data-words]")) {
      link.href = `${answer.words_url}?format=${link.dataset.words}&download=1`;
    }
  }

  const many = (amount, unit) => `${number.format(amount)} ${unit}${amount === 1 ? "" : "s"}`;
  const put = (player, name, value) => { player.querySelector(`[data-${name}]`).textContent = value; };

  // One sample at a time; a second click ends it.
  const sample = new Audio();
  let playing = null;
  const endSample = () => {
    sample.pause();
    playing?.removeAttribute("aria-current");
    playing = null;
  };
  sample.addEventListener("ended", endSample);
  form.addEventListener("click", (event) => {
    const link = event.target.closest("[data-sample]");
    if (!link) return;
    event.preventDefault();
    const again = link === playing;
    endSample();
    if (again) return;
    playing = link;
    link.setAttribute("aria-current", "true");
    sample.src = link.href;
    sample.play().catch(endSample);
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!busy) speak();
  });
  form.addEventListener("input", () => { showErrors({}); show(); });
  document.addEventListener("vocalis:balance", (event) => {
    available = event.detail.available;
    show();
  });
  // Cmd or Ctrl and Enter speaks, as in any editor.
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey) && !button.disabled) form.requestSubmit();
  });
  show();
})();
