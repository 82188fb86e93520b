// The one player of a page: of the studio, the library, a text. It plays a text of the list, or one that is being made, and
// shows the word that is heard. `studio.js` speaks with it through the functions it returns. Without script the browser's
// own player does.
const player = (() => {
  const card = document.querySelector("[data-result]");
  const one = (name) => card.querySelector(`[data-${name}]`);
  const audio = card.querySelector("audio");
  const seek = one("seek");
  const toggle = one("toggle");
  const words = one("text");
  const list = document.querySelector("[data-recent]");
  const loop = one("loop");
  const number = new Intl.NumberFormat("en-US");
  const BARS = 118;
  const BAR_STEP = 7; // in the 826 units of the drawing
  const STEP_SECONDS = 5;

  let known = 0; // length in seconds; 0 while it is being made
  const written = "full" in words.dataset ? [...words.textContent] : null; // the whole text, where the page shows it

  let bars = []; // the path of each bar of the picture
  let spans = []; // the words on the page, with when they begin and end
  let heard = -1; // the last word marked
  let isLive = false; // what is loaded is still being made
  let takeOver = null; // puts the stored file in the place of what was heard while it was made
  let serial = 0; // of what is loaded, for answers that come too late

  const two = (count) => String(count).padStart(2, "0");
  const clock = (seconds) => {
    const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, two(Math.floor(seconds % 60))];
    return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
  };
  const many = (amount, unit) => `${number.format(amount)} ${unit}${amount === 1 ? "" : "s"}`;
  const cut = (text, length) => {
    const characters = [...text];
    return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : text;
  };

  // --- What is heard, as far as it is

  function showPosition() {
    const position = audio.currentTime;
    const whole = known || (Number.isFinite(audio.duration) ? audio.duration : 0);
    seek.disabled = !known || isLive;
    seek.max = whole || 1;
    if (document.activeElement !== seek || !audio.paused) seek.value = position;
    seek.setAttribute("aria-valuetext", whole ? `${clock(position)} of ${clock(Math.round(whole))}` : clock(position));
    one("position").textContent = clock(position);
    one("duration").textContent = whole ? `/ ${clock(Math.round(whole))}` : "";
    const said = whole ? Math.round((position / whole) * bars.length) : 0;
    one("wave-said").setAttribute("d", bars.slice(0, said).join(""));
    one("wave-rest").setAttribute("d", bars.slice(said).join(""));
    showWord(position);
    showPart(position);
  }

  function showPart(position) {
    const rows = [...one("parts-list").children];
    const heard = position > 0 ? rows.findLastIndex((row) => Number(row.querySelector("[data-part]").dataset.begin) <= position + 0.05) : -1;
    for (const [index, row] of rows.entries()) {
      row.classList.toggle("on", index === heard);
      if (index === heard) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  function showWord(position) {
    if (!spans.length) return;
    let low = 0;
    let high = spans.length;
    while (low < high) { // the first word that begins later
      const middle = (low + high) >> 1;
      if (spans[middle].start > position) high = middle;
      else low = middle + 1;
    }
    const now = position > 0 || !audio.paused ? low - 1 : -1;
    if (now === heard) return;
    for (const index of [heard, now]) spans[index]?.element.classList.toggle("now", index === now);
    const [from, to] = now > heard ? [heard + 1, now + 1] : [now + 1, heard + 1];
    for (let index = Math.max(from, 0); index < to; index += 1) spans[index].element.classList.toggle("said", now > heard);
    heard = now;
    const element = spans[now]?.element;
    if (element && (element.offsetTop < words.scrollTop || element.offsetTop + element.offsetHeight > words.scrollTop + words.clientHeight)) {
      words.scrollTop = element.offsetTop - words.clientHeight / 3; // only inside its own box
    }
  }

  // timeupdate comes four times a second: too seldom for words.
  function follow() {
    showPosition();
    if (!audio.paused) requestAnimationFrame(follow);
  }

  // --- What is loaded

  function draw(levels) {
    bars = levels.map((level, index) => {
      const length = Math.round(4 + 66 * level);
      return `M${3 + BAR_STEP * index} ${40 - length / 2}v${length}`;
    });
    showPosition();
  }

  // How loud each part is, from 0 to 100, as the server has measured it.
  async function drawSound(url) {
    const mine = serial;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      const levels = answer.ok ? await answer.json() : [];
      if (mine === serial && levels.length) draw(levels.map((level) => level / 100));
    } catch { /* the picture stays flat; the sound plays all the same */ }
  }

  async function showWords(url) {
    const mine = serial;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      const timed = answer.ok ? await answer.json() : [];
      if (mine !== serial || !timed.length) return;
      spans = timed.map((word) => {
        const element = document.createElement("span");
        element.textContent = word.word;
        return { ...word, element };
      });
      heard = -1;
      let at = 0;
      const parts = new DocumentFragment();
      for (const word of spans) {
        const between = written ? written.slice(at, word.from).join("") : at && " ";
        at = word.to;
        if (between) parts.append(between);
        parts.append(word.element);
      }
      if (written) parts.append(written.slice(at).join(""));
      words.removeAttribute("dir"); // with it, Chromium looks at all words again for each that comes: seconds
      words.replaceChildren(parts);
      words.dir = "auto";
      showPosition();
    } catch { /* the text stands there without */ }
  }

  // One row of parts, as templates/usage/_part.html has it.
  function partRow(template, part, isWhole) {
    const row = template.content.firstElementChild.cloneNode(true);
    const put = (name, value) => { row.querySelector(`[data-${name}]`).textContent = value; };
    const kept = { made: "part", now: "now", waits: "waits" };
    row.dataset.state = part.state;
    for (const [state, name] of Object.entries(kept)) if (state !== part.state) row.querySelector(`[data-${name}]`).remove();
    put("part-name", cut(part.name, 90));
    put("part-state", { now: "being spoken", waits: "waits" }[part.state] ?? "");
    put("part-clock", part.state === "made" ? clock(Math.round(isWhole ? part.begin_seconds : part.seconds)) : "");
    const play = row.querySelector("[data-part]");
    if (play) {
      play.href = part.audio_url;
      play.dataset.begin = part.begin_seconds;
      play.setAttribute("aria-label", `Play: ${cut(part.name, 60)}`);
    }
    const download = row.querySelector("[data-part-download]");
    if (download) {
      download.href = `${part.audio_url}?download=1`;
      download.setAttribute("aria-label", `Download: ${cut(part.name, 60)}`);
    }
    return row;
  }

  async function showParts(address) {
    const mine = serial;
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" } });
      const found = answer.ok ? (await answer.json()).parts : [];
      if (mine !== serial) return;
      one("parts-list").replaceChildren(...found.map((part) => partRow(one("whole-part"), part, true)));
      one("parts-list").hidden = !found.length;
      one("parts-archive").hidden = !found.length;
      one("parts-archive").href = `${address}archive/?format=mp3`;
      showPosition();
    } catch { /* it plays as a whole */ }
  }

  function clear() {
    serial += 1;
    takeOver = null;
    one("parts-list").replaceChildren();
    one("parts-list").hidden = one("parts-archive").hidden = one("result-missing").hidden = true;
    spans = [];
    heard = -1;
    known = 0;
    isLive = false;
    draw(Array(BARS).fill(0));
  }

  function present(state, { text, voice, print, length = "", cost = "", until = "" }) {
    one("news")?.remove();
    one("result-receipt").hidden = true; // until it is done
    one("playable").hidden = false;
    card.hidden = false;
    one("result-state").textContent = state;
    one("result-voice").textContent = voice;
    one("result-length").textContent = length && ` · ${length}`;
    one("result-cost").textContent = cost && ` · ${cost}`;
    one("result-until").textContent = until;
    one("result-print").replaceChildren(...[print?.cloneNode(true)].filter(Boolean));
    words.textContent = cut(text, 600);
    words.scrollTop = 0;
  }

  // The stored file, in which one can seek: its downloads, its words, its picture.
  function complete(take) {
    known = Number(take.dataset.seconds);
    for (const link of card.querySelectorAll("[data-format]")) link.href = `${take.dataset.audio}?format=${link.dataset.format}&download=1`;
    for (const link of card.querySelectorAll("[data-downloads] [data-words]")) {
      link.href = `${take.dataset.words}?format=${link.dataset.words}&download=1`;
      link.hidden = !take.dataset.words;
    }
    one("downloads").hidden = false;
    one("result-receipt").querySelector("a").href = take.dataset.audio.replace(/audio\/$/, "receipt/");
    one("result-receipt").hidden = false;
    drawSound(take.dataset.audio.replace(/audio\/$/, "levels/"));
    if (take.dataset.words) showWords(take.dataset.words);
    if ("parts" in take.dataset && !one("parts-list").children.length) showParts(take.dataset.audio.replace(/audio\/$/, "parts/"));
    showPosition();
  }

  const isLoaded = (take) => Boolean(take.dataset.audio) && Boolean(audio.getAttribute("src")?.startsWith(`${take.dataset.audio}?`));

  function lengthOf(take) {
    const [all, spoken] = [Number(take.dataset.characters), Number(take.dataset.charactersSpoken)];
    return spoken < all ? `${number.format(spoken)} of ${many(all, "character")}` : many(all, "character");
  }

  // A text of the list. `take` is its row.
  function load(take) {
    clear();
    const voice = take.querySelector("[data-voice]").textContent;
    present(take.dataset.name || "Spoken", {
      text: take.querySelector("[data-title]").textContent,
      voice,
      print: take.querySelector("[data-print] svg"),
      length: lengthOf(take),
      cost: take.querySelector("[data-cost]").textContent,
      until: take.querySelector("[data-until]").textContent,
    });
    audio.src = `${take.dataset.audio}?format=mp3`;
    complete(take);
    markRow();
  }

  function markRow() {
    for (const take of list?.children ?? []) {
      const isOn = isLoaded(take);
      const button = take.querySelector("[data-play]");
      take.classList.toggle("on", isOn);
      button?.classList.toggle("play--on", isOn && !audio.paused);
      button?.setAttribute("aria-label", `${isOn && !audio.paused ? "Pause" : "Play"}: ${take.querySelector("[data-title]").textContent}`);
    }
    toggle.classList.toggle("play--on", !audio.paused);
    toggle.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
  }

  const isLooping = () => loop.getAttribute("aria-pressed") === "true";

  const step = (seconds) => {
    if (!seek.disabled) audio.currentTime = Math.min(Math.max(0, audio.currentTime + seconds), known);
  };

  const play = () => {
    audio.loop = isLooping() && !isLive; // what is being made has no begin to go back to
    audio.playbackRate = Number(one("rate").value);
    audio.play().catch(() => {}); // browsers may refuse sound without a touch
  };

  // --- What is being made

  function listen(url, spoken, state = "Speaking…") {
    clear();
    present(state, { ...spoken, length: many([...spoken.text].length, "character") });
    one("downloads").hidden = true;
    isLive = true;
    audio.src = url;
    markRow();
    play();
    card.scrollIntoView({ block: "nearest" });
  }

  // Its row is in the list now. Who listens goes on listening; the stored file takes over at the end.
  function finish(take) {
    if (!isLive && !audio.paused) return; // somebody listens to another one meanwhile
    if (!isLive || audio.error || audio.ended || audio.readyState === 0) {
      load(take);
      play();
      card.scrollIntoView({ block: "nearest" });
      return;
    }
    one("result-state").textContent = "Spoken";
    one("result-length").textContent = ` · ${lengthOf(take)}`;
    one("result-cost").textContent = ` · ${take.querySelector("[data-cost]").textContent}`;
    take.classList.add("on");
    const mine = serial;
    takeOver = () => {
      if (mine !== serial || !isLive) return;
      isLive = false;
      audio.src = `${take.dataset.audio}?format=mp3`;
      markRow();
      showPosition();
      if (isLooping()) play();
    };
    complete(take);
    for (const event of ["ended", "error"]) audio.addEventListener(event, takeOver, { once: true });
  }

  // Nothing came of it: the form says why.
  function discard() {
    if (!isLive) return;
    clear();
    audio.removeAttribute("src");
    card.hidden = true;
    markRow();
  }

  // --- By hand

  one("player").hidden = false;
  audio.controls = false;
  audio.preload = "metadata"; // so that one can seek before it has played
  audio.hidden = true;
  draw(Array(BARS).fill(0));
  for (const event of ["play", "pause", "ended", "emptied"]) audio.addEventListener(event, markRow);
  audio.addEventListener("play", follow);
  for (const event of ["loadedmetadata", "seeked", "timeupdate"]) audio.addEventListener(event, showPosition);
  toggle.addEventListener("click", () => (audio.paused ? play() : audio.pause()));
  seek.addEventListener("input", () => { audio.currentTime = Number(seek.value); });
  one("back").addEventListener("click", () => step(-STEP_SECONDS));
  loop.addEventListener("click", () => {
    loop.setAttribute("aria-pressed", String(!isLooping()));
    audio.loop = isLooping() && !isLive;
  });
  // Space plays and pauses, the arrows go back and on, unless the focus is where they mean something else.
  document.addEventListener("keydown", (event) => {
    const isTaken = event.target.closest("input, textarea, select, button, a:not([data-play], [data-part]), summary, audio, [contenteditable], [tabindex='0']");
    if (isTaken || card.hidden || !audio.getAttribute("src") || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.key === " ") toggle.click();
    else if (event.key === "ArrowLeft") step(-STEP_SECONDS);
    else if (event.key === "ArrowRight") step(STEP_SECONDS);
    else return;
    event.preventDefault();
  });
  one("rate").addEventListener("change", () => { audio.playbackRate = Number(one("rate").value); });
  one("parts-list").addEventListener("click", (event) => {
    const link = event.target.closest("[data-part]");
    if (!link || event.metaKey || event.ctrlKey || (isLive && !takeOver)) return;
    event.preventDefault();
    if (isLive) takeOver(); // what was heard while it was made cannot be jumped in
    audio.currentTime = Number(link.dataset.begin);
    play();
  });
  words.addEventListener("click", (event) => {
    const word = !seek.disabled && spans.find(({ element }) => element === event.target);
    if (word) audio.currentTime = word.start;
  });
  list?.addEventListener("click", (event) => {
    const link = event.target.closest("[data-play]");
    if (!link || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    const take = link.closest("[data-take]");
    if (isLoaded(take) && !audio.paused) return audio.pause();
    if (!isLoaded(take)) load(take);
    play();
  });
  if (!card.hidden && audio.dataset.audio) complete(audio);

  const focus = () => toggle.focus({ preventScroll: true });

  return { listen, finish, discard, focus, partRow, many, clock, cut };
})();
