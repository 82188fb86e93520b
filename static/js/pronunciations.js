// Words are heard on the page instead of on a page of their own. One at a time; a second click ends it.
(() => {
  const sound = new Audio();
  let playing = null;
  const end = () => {
    sound.pause();
    playing?.removeAttribute("aria-current");
    playing = null;
  };
  sound.addEventListener("ended", end);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-sample]");
    if (!link) return;
    event.preventDefault();
    const again = link === playing;
    end();
    if (again) return;
    playing = link;
    link.setAttribute("aria-current", "true");
    sound.src = link.href;
    sound.play().catch(end);
  });
})();
