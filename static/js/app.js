// What pages gain from JavaScript beyond htmx. Every page works without it.

const root = document.documentElement;

// The Django admin reads the same attribute and the same key; the cookie lets the server render it.
function setTheme(theme) {
  root.dataset.theme = theme;
  localStorage.setItem("theme", theme);
  document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax`;
}

document.addEventListener("click", async (event) => {
  const toggle = event.target.closest("[data-theme-toggle]");
  if (toggle) {
    const order = ["auto", "light", "dark"];
    setTheme(order[(order.indexOf(root.dataset.theme) + 1) % order.length]);
    toggle.setAttribute("aria-label", `Theme: ${root.dataset.theme}`);
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) await copyFrom(copy, document.getElementById(copy.dataset.copy));
});

// The clipboard API is missing on plain http; selecting the text and "copy" work there as well.
async function copyFrom(button, source) {
  let isDone = false;
  try {
    await navigator.clipboard.writeText(source.innerText.trim());
    isDone = true;
  } catch {
    isDone = copySelected(source);
  }
  const text = isDone ? "Copied" : "Selected: press Ctrl+C";
  announce(text);
  tellOn(button, text);
}

function copySelected(source) {
  const area = document.createElement("textarea");
  area.value = source.innerText.trim();
  area.readOnly = true;
  area.className = "hidden-label";
  document.body.append(area);
  area.select();
  let isDone = false;
  try {
    isDone = document.execCommand("copy");
  } catch {}
  area.remove();
  document.querySelector(`[data-copy="${source.id}"]`)?.focus();
  if (!isDone) getSelection().selectAllChildren(source);
  return isDone;
}

// Seen on the button for a while; its own label comes back.
function tellOn(button, text) {
  button.dataset.label ??= button.innerHTML;
  clearTimeout(button.toldUntil);
  button.textContent = text;
  button.toldUntil = setTimeout(() => (button.innerHTML = button.dataset.label), 2000);
}

// The selection of tables counts what is checked on this page and was checked before.
document.addEventListener("change", (event) => {
  const form = event.target.name === "pick" ? event.target.form : null;
  const told = form?.querySelector("[data-selection-limit]");
  if (!told) return;
  const count = form.querySelectorAll("input[name=pick]:checked").length;
  told.textContent = count ? `${count} selected, at most ${told.dataset.selectionLimit}.` : "Nothing selected.";
});

function announce(text) {
  const live = document.getElementById("live");
  if (live) live.textContent = text;
}

// A hidden page does not poll.
document.addEventListener("htmx:before:request", (event) => {
  const source = event.target.closest?.("[data-poll]");
  if (source && document.hidden) event.preventDefault();
});

// Say so when polls fail, and stop saying it when they work again.
let lastAnswer = Date.now();
function connection(isLost) {
  const banner = document.getElementById("connection");
  if (!banner) return;
  banner.hidden = !isLost;
  const seconds = Math.round((Date.now() - lastAnswer) / 1000);
  if (isLost) banner.querySelector("[data-age]").textContent = `${seconds} s`;
}
document.addEventListener("htmx:error", () => connection(true));
document.addEventListener("htmx:after:request", (event) => {
  const status = event.detail?.ctx?.response?.status ?? 0;
  if (status >= 500) return connection(true);
  // What is polled is gone, or no longer for us: the page itself says so, once.
  if ((status === 403 || status === 404) && event.target.closest?.("[data-poll]")) return location.reload();
  lastAnswer = Date.now();
  connection(false);
});

// After a form came back with errors, with or without a new page, the summary gets the focus.
function toMistakes() {
  document.querySelector("[data-error-summary]")?.focus();
}
document.addEventListener("htmx:after:swap", toMistakes);
toMistakes();

// Told aloud is only what changed by a phase or a quarter, not each of many swaps.
let told = document.querySelector("[data-announce]")?.dataset.announce;
document.addEventListener("htmx:after:swap", () => {
  const text = document.querySelector("[data-announce]")?.dataset.announce;
  if (text && text !== told) announce((told = text));
});

// On narrow screens the menu is a strip: show the part of it where we are.
document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// Relative times stay true while a page is open.
const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en-GB", { numeric: "always" });
function ago(seconds) {
  const [unit, size] = units.find(([, size]) => seconds >= size) ?? units.at(-1);
  return relative.format(-Math.floor(seconds / size), unit);
}
setInterval(() => {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    time.textContent = ago(Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000));
  }
}, 10_000);
