// Forms that make or use a passkey: [data-passkey=create] and [data-passkey=get]. The browser's answer goes into the field
// "credential", then the form is sent as any other. Browsers that cannot do so keep the words [data-without-passkeys].
(() => {
  const CANCELLED = "Nothing was done: the window of your device was closed, or it took too long.";
  const THERE = "This device has a passkey of your account already.";
  const FAILED = "Your browser could not do this. Try another one, or use your password.";

  const canDo = window.PublicKeyCredential && PublicKeyCredential.parseCreationOptionsFromJSON && PublicKeyCredential.parseRequestOptionsFromJSON;
  if (!canDo) return;
  for (const words of document.querySelectorAll("[data-without-passkeys]")) words.hidden = true;

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask(form);
    });
  }

  async function ask(form) {
    const button = form.querySelector("button[type=submit]");
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    say(form, "");
    try {
      const options = await optionsOf(form);
      if (options) {
        form.elements.credential.value = JSON.stringify(await answer(form.dataset.passkey, options));
        form.submit();
        return;
      }
    } catch (error) {
      say(form, words(error));
    }
    button.removeAttribute("aria-busy");
  }

  async function optionsOf(form) {
    const headers = { Accept: "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
    const response = await fetch(form.dataset.options, { method: "POST", headers });
    if (response.status === 403 && form.dataset.again) {
      location.assign(form.dataset.again);
      return null;
    }
    const read = await response.json();
    if (response.ok) return read.publicKey;
    say(form, read.error);
    return null;
  }

  async function answer(what, publicKey) {
    const made = what === "create"
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
    return made.toJSON();
  }

  function words(error) {
    if (error.name === "NotAllowedError" || error.name === "AbortError") return CANCELLED;
    return error.name === "InvalidStateError" ? THERE : FAILED;
  }

  function say(form, text) {
    form.querySelector("[data-passkey-error]").textContent = text;
  }
})();
