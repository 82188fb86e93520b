// The front page and the prices: a visitor's own sentence is heard without leaving the page, and the calculator follows what
// is typed. Without script both are forms.
(() => {
  const number = new Intl.NumberFormat("en-US");
  const form = document.querySelector("[data-try]");
  if (form) trying(form);
  const calculator = document.querySelector("[data-calculator]");
  if (calculator) calculating(calculator);
  // A link to a fold opens it.
  addEventListener("hashchange", unfold);
  unfold();

  function unfold() {
    const fold = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (fold?.matches("details")) fold.open = true;
  }

  function trying(form) {
    const one = (name) => form.querySelector(`[data-${name}]`);
    const audio = form.querySelector("audio");
    const button = form.querySelector("button");
    const text = form.elements.text;

    text.addEventListener("input", () => {
      const characters = [...text.value.normalize("NFC")].length;
      one("characters").textContent = number.format(characters);
      one("price").textContent = number.format(characters * form.dataset.credits);
    });

    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (button.getAttribute("aria-busy")) return;
      button.setAttribute("aria-busy", "true");
      say("");
      try {
        const headers = { Accept: "audio/mpeg" };
        const answer = await fetch(form.getAttribute("action").split("#")[0], { method: "POST", headers, body: new FormData(form) });
        const type = answer.headers.get("Content-Type") ?? "";
        if (answer.ok && type.startsWith("audio/")) await play(await answer.blob());
        else say(type.startsWith("application/json") ? (await answer.json()).error : "That did not work. Try again in a moment.");
      } catch {
        say("The site does not answer. Check your connection and try again.");
      } finally {
        button.removeAttribute("aria-busy");
      }
    });

    async function play(sound) {
      if (audio.src.startsWith("blob:")) URL.revokeObjectURL(audio.src);
      audio.src = URL.createObjectURL(sound);
      one("player").hidden = false;
      await audio.play().catch(() => {}); // a browser may want a click of its own: the player is there for it
    }

    function say(words) {
      one("failure").textContent = words;
      one("failure").hidden = !words;
    }
  }

  function calculating(form) {
    let timer = 0;
    let serial = 0;
    form.querySelector("button").hidden = true;
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => work(), 200);
    });
    form.addEventListener("submit", (event) => { event.preventDefault(); work(); });
    // Separators come when the number is typed, not while: they would move the caret.
    const amount = form.elements.amount;
    amount.addEventListener("change", () => {
      clearTimeout(timer);
      work(amount.value);
    });

    // The server works it out, so that prices and paces stand in one place.
    async function work(typed) {
      const mine = ++serial;
      const answer = await fetch(`${form.getAttribute("action").split("#")[0]}?${new URLSearchParams(new FormData(form))}`).catch(() => null);
      if (!answer?.ok || mine !== serial) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.querySelector("[data-calculation]");
      if (!found) return location.reload(); // somebody logged in meanwhile
      form.querySelector("[data-calculation]").replaceWith(found);
      const asked = page.querySelector("#amount");
      if (amount.value === typed) amount.value = asked.value;
      amount.toggleAttribute("aria-invalid", asked.hasAttribute("aria-invalid"));
    }
  }
})();
