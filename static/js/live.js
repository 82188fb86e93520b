// Keeps every [data-balance] element at the newest balance, and [data-live] at "live" or "offline".
//
// Server-sent events while the page is visible, polling while they do not come through. Other scripts listen for
// "vocalis:balance" on the document; its detail is the state as /api/billing/balance and balance_updated give it. Long
// texts in the making are told of as "vocalis:progress", with a list of {id, characters, characters_spoken} as its detail; a
// banner that was not there before, as "vocalis:banner".
(() => {
  const BALANCE_URL = "/api/billing/balance";
  const EVENTS_URL = "/api/webhooks/events/";
  const POLL_MS = 2000; // until the customer is set up: then the stream can be opened
  const POLL_OFFLINE_MS = 5000;
  const SILENCE_MS = 10000; // a stream that has said nothing by then is held up on its way

  if (!document.querySelector("[data-balance], [data-live]")) return;

  let url = document.body.dataset.eventsUrl || "";
  let version = -1; // of the newest state shown
  let source = null;
  let failures = 0; // of the stream in a row; the more, the longer polling goes on before it is tried again
  let polls = 0;
  let banner = ""; // id of the one told of last
  let timer = 0; // the next poll, or the end of patience with a stream

  function start() {
    stop();
    if (!url) return poll();
    source = new EventSource(version < 0 ? url : `${url}?after=${version}`);
    wait(SILENCE_MS, fallBack);
    source.addEventListener("connected", () => { wait(0); failures = 0; mark("live"); });
    source.addEventListener("balance_updated", (event) => {
      const state = JSON.parse(event.data);
      show(state);
      if (state.auto_recharge) tell(`Your balance was recharged: ${number(state.available)} credits are available.`);
    });
    source.addEventListener("speech_progress", (event) => {
      document.dispatchEvent(new CustomEvent("vocalis:progress", { detail: JSON.parse(event.data).texts || [] }));
    });
    source.addEventListener("banner", (event) => showBanner(JSON.parse(event.data)));
    // The browser reconnects by itself unless it was refused; a stream ends every ten minutes and that is no failure.
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) fallBack();
      else if (!timer) wait(SILENCE_MS, fallBack);
    });
  }

  function stop() {
    wait(0);
    source?.close();
    source = null;
  }

  function wait(milliseconds, then) {
    clearTimeout(timer);
    timer = milliseconds && setTimeout(then, milliseconds);
  }

  function fallBack() {
    stop();
    mark("offline");
    failures += 1;
    polls = 0;
    poll();
  }

  // One look at the balance; then the stream when its time has come, or another look later.
  async function poll() {
    let state = null;
    try {
      const answer = await fetch(BALANCE_URL, { headers: { Accept: "application/json" } });
      if (answer.status === 401 || answer.status === 404) return mark("offline"); // logged out, or no customer
      if (answer.ok) state = await answer.json();
    } catch { /* no network; the next look may find one */ }
    if (document.hidden || source) return;
    polls += 1;
    if (state) show(state);
    if (state?.customer_id) url = EVENTS_URL + encodeURIComponent(state.customer_id);
    if (state && url && polls > failures) start();
    else wait(failures ? POLL_OFFLINE_MS : POLL_MS, poll);
  }

  function show(state) {
    if (state.version < version) return; // overtaken on the way
    version = state.version;
    for (const element of document.querySelectorAll("[data-balance]")) {
      const value = state[element.dataset.balance];
      const text = typeof value === "number" ? number(value) : planName(value);
      if (element.textContent.trim() === text) continue;
      element.textContent = text;
      element.classList.remove("flash");
      void element.offsetWidth; // lets the animation start again
      element.classList.add("flash");
    }
    document.dispatchEvent(new CustomEvent("vocalis:balance", { detail: state }));
  }

  function tell(text) {
    const notice = document.createElement("div");
    notice.className = "notice notice--ok";
    notice.dataset.notice = "recharge";
    notice.textContent = text;
    const messages = document.querySelector(".messages"); // aria-live: read out without interrupting
    messages?.querySelector("[data-notice=recharge]")?.remove();
    messages?.append(notice);
  }

  // The most urgent of what the customer should know, as templates/_banner.html has it; without an id there is none.
  function showBanner(told) {
    const place = document.querySelector("[data-banner]");
    if (told.id === banner || place?.querySelector(`[data-id="${told.id}"]`)) return;
    banner = told.id;
    document.dispatchEvent(new CustomEvent("vocalis:banner"));
    if (!place) return;
    place.replaceChildren();
    if (!told.id) return;
    const words = element("p", "grow", element("strong", "", told.words));
    const out = element("span", "row row--s");
    if (told.url) out.append(Object.assign(element("a", "btn btn--s", told.label), { href: told.url }));
    const token = document.querySelector("[name=csrfmiddlewaretoken]");
    if (token) {
      const form = element("form", "", element("button", "btn btn--s btn--plain", "Close"));
      form.method = "post";
      form.action = place.dataset.banner.replace("/0/", `/${told.id}/`);
      form.prepend(token.cloneNode());
      out.append(form);
    }
    const notice = element("div", `notice notice--${told.tone}`, words);
    notice.dataset.id = told.id;
    notice.append(out);
    place.append(notice);
  }

  function element(name, className, content = "") {
    const made = document.createElement(name);
    made.className = className;
    made.append(content);
    return made;
  }

  function mark(live) {
    for (const element of document.querySelectorAll("[data-live]")) element.dataset.live = live;
  }

  function number(value) {
    return value.toLocaleString("en-US");
  }

  function planName(key) {
    return key ? key[0].toUpperCase() + key.slice(1) : "No plan";
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => { if (event.persisted) start(); });
  if (!document.hidden) start();
})();
