// The event log behind the lens: what the browser gets beside what the observer gets. Pure: events in, rows out.
//
// A row is one event. The same event may arrive twice, over the data channel and from the observer: it is one row
// that says who got it. The observer's comes by a longer way: what the browser did not get is put where it belongs
// among what it did. The log is bounded; the oldest rows go first, and how many went is said.

const BLOCK = 1_000;

/** One row: `{n, at, sender, type, event, browser, observer}`; `at` in ms (Unix). `sender` is "server", "browser",
 *  "console" or "tool"; `browser` and `observer` tell who has it. */
export class EventLog {
  #rows = [];
  #byId = new Map();
  #limit;
  #next = 1;
  #filter = { text: "", type: "", lens: "both" };
  #visible = [];
  #lastEntry = 0;
  #observed = null;
  dropped = 0;
  types = new Map();

  constructor({ limit = 50_000 } = {}) {
    this.#limit = limit;
  }

  get size() {
    return this.#rows.length;
  }

  /** Rows that pass the filter, oldest first. */
  get visible() {
    return this.#visible;
  }

  get rows() {
    return this.#rows;
  }

  clear() {
    this.#rows = [];
    this.#byId.clear();
    this.#visible = [];
    this.types.clear();
    this.dropped = 0;
    this.#lastEntry = 0;
    this.#observed = null;
  }

  /** An event of this browser's own data channel. */
  fromBrowser(event, at, { sent = false } = {}) {
    const known = sent ? undefined : this.#byId.get(event.event_id);
    if (known) return this.#also(known, "browser");
    return this.#add({ at, sender: sent ? "browser" : "server", event, browser: true, observer: false });
  }

  /** An entry of the observer's log. One that came before (a snapshot after a reconnect) is not counted again.
   *  `ownBrowser`: this page holds the call, so only its data channel tells what the browser gets. */
  fromObserver({ n, at, sender, seen, event }, { ownBrowser = false } = {}) {
    const known = this.#byId.get(event.event_id);
    if (known?.observer) return undefined;
    if (known) return this.#also((this.#observed = known), "observer");
    // Numbers begin anew with the observer's process; ids do not.
    if (!event.event_id && n <= this.#lastEntry) return undefined;
    this.#lastEntry = n;
    const row = { at: at * 1000, sender, event, browser: seen && !ownBrowser, observer: true };
    this.#observed = this.#add(row, ownBrowser ? (this.#observed ?? this.#before(row.at)) : null);
    return this.#observed;
  }

  /** `text` is looked for in the whole event; `type` is a beginning of the type; `lens`: both | browser | observer. */
  filter(members) {
    this.#filter = { ...this.#filter, ...members };
    this.#visible = this.#rows.filter((row) => this.#passes(row));
  }

  /** The last row before a time, where there is no better hint. */
  #before(at) {
    return this.#rows.findLast((row) => row.at <= at) ?? null;
  }

  /** At the end, or behind the row that the observer had before this one. */
  #add(members, behind = null) {
    const row = { n: this.#next++, type: String(members.event.type ?? "?"), ...members };
    const place = behind ? this.#rows.lastIndexOf(behind) + 1 : 0;
    const later = place ? this.#rows.slice(place) : [];
    if (later.length) row.at = Math.min(Math.max(row.at, behind.at), later[0].at);
    this.#rows.splice(this.#rows.length - later.length, 0, row);
    if (row.event.event_id && row.sender !== "browser") this.#byId.set(row.event.event_id, row);
    this.types.set(row.type, (this.types.get(row.type) ?? 0) + 1);
    const shownLater = later.filter((each) => this.#passes(each)).length;
    if (this.#passes(row)) this.#visible.splice(this.#visible.length - shownLater, 0, row);
    if (this.#rows.length > this.#limit + BLOCK) this.#drop();
    return row;
  }

  #also(row, who) {
    if (row[who]) return row;
    const shown = this.#passes(row);
    row[who] = true;
    if (!shown && this.#passes(row)) this.filter({});
    return row;
  }

  #drop() {
    const gone = this.#rows.splice(0, this.#rows.length - this.#limit);
    for (const row of gone) {
      row.gone = true;
      if (this.#byId.get(row.event.event_id) === row) this.#byId.delete(row.event.event_id);
      const left = this.types.get(row.type) - 1;
      if (left) this.types.set(row.type, left);
      else this.types.delete(row.type);
    }
    this.dropped += gone.length;
    const keep = this.#visible.findIndex((row) => !row.gone);
    this.#visible = keep < 0 ? [] : this.#visible.slice(keep);
  }

  #passes(row) {
    const { text, type, lens } = this.#filter;
    if (lens !== "both" && !row[lens]) return false;
    if (type && row.type !== type && !row.type.startsWith(`${type}.`)) return false;
    return !text || searchable(row).includes(text);
  }
}

function searchable(row) {
  row.search ??= JSON.stringify(row.event).toLowerCase();
  return row.search;
}

/** The types that a filter may choose, and the families they belong to, sorted. */
export function typeChoices(types) {
  const names = new Set();
  for (const type of types.keys()) {
    const parts = type.split(".");
    for (let length = 1; length <= parts.length; length++) names.add(parts.slice(0, length).join("."));
  }
  return [...names].sort();
}

/** A few words on what is in an event, for its row. */
export function gist(event) {
  const said =
    event.delta ?? event.transcript ?? event.text ?? event.error?.message ??
    event.item?.content?.map((part) => part.text ?? part.transcript ?? "").join(" ") ??
    event.response?.status ?? event.arguments ?? event.item?.name ?? event.session?.model ?? "";
  if (said) return String(said).replace(/\s+/g, " ").slice(0, 160);
  if (typeof event.audio_end_ms === "number") return `${event.audio_end_ms} ms`;
  if (typeof event.audio_start_ms === "number") return `${event.audio_start_ms} ms`;
  return event.item?.type ?? "";
}
