// While a plan is being set up: shows the page anew as soon as it is the current one.
(() => {
  const pending = document.querySelector("[data-pending-plan]");
  document.addEventListener("vocalis:balance", (event) => {
    if (pending && event.detail.plan === pending.dataset.pendingPlan) location.reload();
  });
})();
