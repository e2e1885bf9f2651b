// The page: who looks at it, which view they look at, and the views.

import { appInfo, key } from "./net/api.js";
import { t, translate } from "./words/words.js";
import { Calls } from "./view/calls.js";
import { $, say } from "./view/dom.js";
import { showEngines } from "./view/engines.js";
import { notice } from "./view/notice.js";
import { Profiles } from "./view/profiles.js";
import { Recordings } from "./view/recordings.js";
import { listen, showShortcuts } from "./view/shortcuts.js";
import { Talk } from "./view/talk.js";

const SOON_MS = 1_500;
const LATER_MS = 15_000;
const VIEWS = ["talk", "calls", "recordings", "profiles"];

translate(document);

let info = null; // what the application said last
let afterKey = () => {};
let timer = 0;

const calls = new Calls();
const talk = new Talk({ askKey, listed: (id) => calls.listed(id) });
const recordings = new Recordings();
const profiles = new Profiles();

// ------------------------------------------------------------------------------------------ who looks

/** Ask the application what it is: sooner while something loads, not at all while nobody looks. */
async function learn() {
  clearTimeout(timer);
  let now = null;
  try {
    now = await appInfo();
  } catch {
    // Shown as such: `now` stays null.
  }
  const first = info === null && now !== null;
  info = now ?? info;
  say($("link"), now ? "" : t(info ? "reconnecting" : "unreached"));
  showEngines(now ? (now.engines ?? undefined) : null);
  const operator = Boolean(info?.user?.operator);
  $("nav").hidden = !operator;
  $("nav-recordings").hidden = !info?.recordings;
  $("enter-key").hidden = operator || !info?.key_required;
  talk.configure(now);
  if (now) calls.allow(now);
  if (first || !operator) route();
  const settled = now && !(now.engines ?? []).some((row) => row.state === "loading");
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(learn, settled ? LATER_MS : SOON_MS);
}

function askKey(kind, then) {
  afterKey = then;
  location.hash = "#/talk";
  if (info?.login) return notice.show(t("loginRequired"), "", [["login", () => location.assign(info.login)], ["cancel", notice.hide]]);
  return notice.show(t(kind), t("refusedText"), [["cancel", notice.hide]], { askKey: true });
}

$("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const typed = $("key").value.trim();
  $("key").value = "";
  // Other characters can be in no header.
  if (!/^[\x21-\x7e]+$/.test(typed)) return askKey("wrongKey", afterKey);
  key.set(typed);
  notice.hide();
  calls.allow(null);
  await learn();
  return afterKey();
});
$("enter-key").addEventListener("click", () => askKey("refused", () => {
  if (info?.user?.operator) return;
  key.forget();
  askKey("wrongKey", afterKey);
}));

// --------------------------------------------------------------------------------------------- views

/** `#/calls/rtc_1` is `["calls", "rtc_1"]`. What the viewer may not see leads to the telephone. */
function where() {
  const [name, id = ""] = location.hash.replace(/^#\/?/, "").split("/");
  const known = VIEWS.includes(name) && (name === "talk" || info?.user?.operator) ? name : "talk";
  let decoded = "";
  try {
    decoded = decodeURIComponent(id);
  } catch {
    // Not an address that this page made.
  }
  return [known, known === name ? decoded || null : null];
}

function route() {
  if (location.hash === "#main") return;
  const [name, id] = where();
  for (const view of VIEWS) $(`view-${view}`).hidden = view !== name;
  for (const link of $("nav").querySelectorAll("a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = name === "talk" ? "vivavoz" : `${t(`view${name[0].toUpperCase()}${name.slice(1)}`)} · vivavoz`;
  calls.open(name === "calls" ? id : null);
  if (name === "recordings") recordings.open(id);
  if (name === "profiles") profiles.show(info);
  current = document.body.dataset.view = name;
}

let current = "talk";
const shown = { talk, calls, recordings };
const go = (index) => () => {
  if (!$("nav").hidden) location.hash = `#/${VIEWS[index]}`;
};

addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : learn()));
$("help").addEventListener("click", showShortcuts);
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});

listen({
  Escape: () => talk.interrupt(),
  1: go(0), 2: go(1), 3: go(2), 4: go(3),
  m: () => talk.toggleMute(),
  i: () => current === "talk" && talk.toggleInspector(),
  "/": () => shown[current]?.search(),
  p: () => shown[current]?.pause?.(),
  k: () => current === "recordings" && recordings.toggle(),
  "?": showShortcuts,
});

learn();

// For the person at the console, and for tests: the browser's own counters of the call.
globalThis.vivavoz = { stats: () => talk.stats() };
