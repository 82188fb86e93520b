// Tuning with script: numbers follow the sliders, and what is set up is what the controls show.
(() => {
  const tune = document.querySelector("form[data-tune]");
  const setUp = document.querySelector("form[data-set-up]");
  const audio = tune.querySelector("audio");

  const settings = () => new URLSearchParams(new FormData(tune));

  tune.addEventListener("input", () => {
    for (const [name, value] of settings()) {
      setUp.elements[name].value = value;
      const output = tune.querySelector(`output[for="${name}"]`);
      if (output) output.textContent = value;
    }
  });
  tune.addEventListener("change", () => {
    audio.src = `${audio.dataset.preview}?${settings()}`;
  });
  tune.addEventListener("submit", (event) => {
    event.preventDefault();
    audio.src = `${audio.dataset.preview}?${settings()}`;
    audio.play().catch(() => {});
  });

  // A second click while the page is on its way would only be answered with the same voice; spare it.
  setUp.addEventListener("submit", () => { setUp.querySelector("button").disabled = true; });
  window.addEventListener("pageshow", () => { setUp.querySelector("button").disabled = false; });
})();
