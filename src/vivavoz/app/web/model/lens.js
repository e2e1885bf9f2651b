// The event log behind the lens: what the browser gets beside what the observer gets. Pure: events in, rows out.
//
// A row is one event. The same event may arrive twice, over the data channel and from the observer: it is one row
// that says who got it. The log is bounded; the oldest rows go first, and how many went is said.

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
    if (known) return this.#also(known, "observer");
    // Numbers begin anew with the observer's process; ids do not.
    if (!event.event_id && n <= this.#lastEntry) return undefined;
    this.#lastEntry = n;
    // Beside the browser's own events, what came by the longer way stands where it came, not before.
    const earliest = ownBrowser ? (this.#rows.at(-1)?.at ?? 0) : 0;
    return this.#add({ at: Math.max(at * 1000, earliest), sender, event, browser: seen && !ownBrowser, observer: true });
  }

  /** `text` is looked for in the whole event; `type` is a beginning of the type; `lens`: both | browser | observer. */
  filter(members) {
    this.#filter = { ...this.#filter, ...members };
    this.#visible = this.#rows.filter((row) => this.#passes(row));
  }

  #add(members) {
    const row = { n: this.#next++, type: String(members.event.type ?? "?"), ...members };
    this.#rows.push(row);
    if (row.event.event_id && row.sender !== "browser") this.#byId.set(row.event.event_id, row);
    this.types.set(row.type, (this.types.get(row.type) ?? 0) + 1);
    if (this.#passes(row)) this.#visible.push(row);
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
      if (this.#byId.get(row.event.event_id) === row) this.#byId.delete(row.event.event_id);
      const left = this.types.get(row.type) - 1;
      if (left) this.types.set(row.type, left);
      else this.types.delete(row.type);
    }
    this.dropped += gone.length;
    const first = this.#rows[0].n;
    const keep = this.#visible.findIndex((row) => row.n >= first);
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
