// Making elements. Data becomes text, never markup.

export const $ = (id) => document.getElementById(id);

/** `h("button", {class: "key", type: "button", on: {click}}, "words", …)`. Null and false children are left out. */
export function h(name, members = {}, ...children) {
  const made = document.createElement(name);
  for (const [member, value] of Object.entries(members)) {
    if (value === null || value === undefined || value === false) continue;
    if (member === "class") made.className = value;
    else if (member === "text") made.textContent = value;
    else if (member === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (member in made && !member.includes("-") && member !== "list" && member !== "form") made[member] = value;
    else made.setAttribute(member, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const button = (words, act, members = {}) => h("button", { type: "button", class: "key", ...members, on: { click: act } }, words);

/** `text` only where it differs: a live region says everything that is set. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Choices of a `<select>`: `[[value, words]…]`. What was chosen stays chosen. */
export function fill(select, choices, chosen = select.value) {
  const now = JSON.stringify(choices);
  if (select.dataset.choices !== now) {
    select.dataset.choices = now;
    select.replaceChildren(...choices.map(([value, words]) => h("option", { value }, words)));
  }
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}

/** Ask before something cannot be undone; true when the person agreed. */
export function agreed(title, text, yes, no) {
  const dialog = $("confirm");
  return new Promise((resolve) => {
    const answer = (value) => () => {
      dialog.close();
      resolve(value);
    };
    dialog.replaceChildren(
      h("h2", { id: "confirm-title" }, title),
      h("p", {}, text),
      h("p", { class: "dialog-actions" }, button(no, answer(false), { autofocus: true }), button(yes, answer(true), { class: "key key-end" })),
    );
    dialog.addEventListener("cancel", () => resolve(false), { once: true });
    dialog.showModal();
  });
}

/** Tabs: arrow keys move, as everywhere. `tabs` is `[[name, words, panel]…]`; returns the element and `show(name)`. */
export function tabs(label, list, shown = () => {}) {
  const prefix = `tab-${Math.random().toString(36).slice(2, 8)}`;
  const buttons = list.map(([name, words, panel]) => {
    Object.assign(panel, { id: `${prefix}-${name}-panel`, hidden: true });
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `${prefix}-${name}`);
    return h("button", { type: "button", role: "tab", id: `${prefix}-${name}`, "data-tab": name, "aria-controls": panel.id, on: { click: () => show(name) } }, words);
  });
  function show(name, focus = false) {
    list.forEach(([each, , panel], index) => {
      const chosen = each === name;
      panel.hidden = !chosen;
      buttons[index].setAttribute("aria-selected", String(chosen));
      buttons[index].tabIndex = chosen ? 0 : -1;
      if (chosen && focus) buttons[index].focus();
    });
    shown(name);
  }
  const bar = h("div", { class: "tabs", role: "tablist", "aria-label": label, on: { keydown: (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    show(list.at(to % buttons.length)[0], true);
  } } }, buttons);
  show(list[0][0]);
  return { bar, show };
}

export const clock = (ms) => {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
};
