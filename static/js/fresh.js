// Keeps the parts marked [data-fresh] as new as the server has them, and one whose mark has a value as soon as that is
// another. They are fetched anew when the balance or the plan is another than in [data-mark] (billing/_delays.html), when a
// banner comes, when one comes back to the page, as after a setting made in another tab, and every few seconds while
// something is under way, [data-pending].
(() => {
  const SOON_MS = 300;
  const PENDING_MS = 5000;

  let due = Infinity; // when the page is fetched next; 0 while it is
  let timer = 0;
  let newest = "";
  let isStale = false; // something came while the page was being fetched, perhaps too late for that answer

  const mark = () => document.querySelector("[data-mark]").dataset.mark;

  function renewIn(milliseconds) {
    isStale ||= due === 0;
    const at = Date.now() + milliseconds;
    if (at >= due) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(renew, milliseconds);
  }

  async function renew() {
    due = 0;
    isStale = false;
    try {
      const answer = document.hidden ? null : await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer?.ok) replaceParts(await answer.text());
    } catch { /* no network; the next time may find one */ }
    due = Infinity;
    if (isStale) renewIn(SOON_MS);
    if (document.querySelector("[data-pending]") || (newest && newest !== mark())) renewIn(PENDING_MS);
  }

  function replaceParts(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    for (const part of document.querySelectorAll("[data-fresh]")) {
      const fresh = page.getElementById(part.id);
      const isSame = part.dataset.fresh && part.dataset.fresh === fresh?.dataset.fresh;
      if (fresh && !isSame && !part.contains(document.activeElement)) part.replaceWith(fresh); // never from under someone's fingers
    }
  }

  document.addEventListener("vocalis:balance", (event) => {
    newest = `${event.detail.version} ${event.detail.plan ?? ""}`;
    if (newest !== mark()) renewIn(SOON_MS);
  });
  document.addEventListener("vocalis:banner", () => renewIn(SOON_MS));
  for (const [where, event] of [[document, "visibilitychange"], [window, "focus"]]) {
    where.addEventListener(event, () => { if (!document.hidden) renewIn(SOON_MS); });
  }
  if (document.querySelector("[data-pending]")) renewIn(PENDING_MS);
})();
