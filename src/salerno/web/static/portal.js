// Comforts on top of pages that work without: nothing here is needed to use the portal.
"use strict";
(() => {
  // After a form came back with errors, the summary gets the focus so that it is read first.
  const summary = document.getElementById("error-summary");
  if (summary) summary.focus();

  // <div data-refresh="/address"> is fetched again until its content no longer has data-busy.
  const refresh = async (area) => {
    try {
      const answer = await fetch(area.dataset.refresh, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (answer.ok && !answer.redirected) {
        const html = await answer.text();
        if (html !== area.dataset.last) {
          area.dataset.last = html;
          area.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
        }
        if (!area.querySelector("[data-busy]")) {
          if (area.dataset.then) location.assign(area.dataset.then);
          return;
        }
      }
    } catch { /* The node may be restarting: the next try finds out. */ }
    setTimeout(refresh, 1500, area);
  };
  for (const area of document.querySelectorAll("[data-refresh]")) setTimeout(refresh, 800, area);

  // <fieldset data-all> gets a button that ticks or clears every box in it.
  for (const set of document.querySelectorAll("fieldset[data-all]")) {
    const boxes = () => [...set.querySelectorAll("input[type=checkbox]")];
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    const name = () => { button.textContent = boxes().every((b) => b.checked) ? "Clear all" : "Select all"; };
    button.addEventListener("click", () => {
      const on = !boxes().every((b) => b.checked);
      for (const b of boxes()) b.checked = on;
      name();
    });
    set.addEventListener("change", name);
    name();
    set.querySelector("legend").after(button);
  }

  // <textarea data-json> tells at once when what stands in it is not JSON.
  for (const box of document.querySelectorAll("textarea[data-json]")) {
    const check = () => {
      let message = "";
      try { if (box.value.trim()) JSON.parse(box.value); } catch (error) { message = `This is not JSON: ${error.message}`; }
      box.setCustomValidity(message);
    };
    box.addEventListener("input", check);
    check();
  }

  // <form data-check="/address"> is sent there after each change; the answer goes into its [data-findings].
  for (const form of document.querySelectorAll("form[data-check]")) {
    const findings = form.querySelector("[data-findings]");
    let timer, turn = 0;
    const check = async () => {
      const mine = ++turn;
      try {
        const answer = await fetch(form.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin" });
        if (!answer.ok || answer.redirected || mine !== turn) return;
        const html = await answer.text();
        findings.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
      } catch { /* The check is a comfort: asking checks everything again. */ }
    };
    form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(check, 400); });
    form.addEventListener("change", () => { clearTimeout(timer); timer = setTimeout(check, 50); });
  }

  // A form is sent once: a second press while the first is under way does nothing.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 5000);
  });

  // Words typed into a form are not lost by a wrong click.
  for (const form of document.querySelectorAll("form[data-keep]")) {
    let changed = false;
    form.addEventListener("input", () => { changed = true; });
    form.addEventListener("submit", () => { changed = false; });
    addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });

    // What is written is kept at each field.
    const told = form.querySelector("[data-kept]");
    let last = Promise.resolve();
    const keep = async () => {
      const body = new URLSearchParams(new FormData(form));
      body.set("action", "keep");
      await (await fetch(form.action, { method: "POST", body, redirect: "error" })).json();
      changed = false;
    };
    const tell = (how) => () => { told.textContent = told.dataset[how]; };
    if (told) form.addEventListener("change", () => { last = last.then(keep).then(tell("kept"), tell("lost")); });
  }

  // Questions that depend on another answer.
  for (const box of document.querySelectorAll("[data-when]")) {
    const { when, is } = box.dataset, form = box.closest("form");
    const look = () => { box.hidden = !is.split("|").includes(new FormData(form).get(when) ?? ""); };
    form.addEventListener("input", look);
    look();
  }
})();
