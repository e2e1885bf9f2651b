// What every view must keep, whatever is in it. Each returns a list of complaints.

const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && element.getClientRects().length > 0;
const told = (element) => `<${element.localName}${element.id && `#${element.id}`} class="${element.className}"> ${(element.textContent ?? "").trim().slice(0, 40)}`;

function nameOf(element) {
  const by = (element.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean).map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
  const labels = [...(element.labels ?? [])].map((label) => label.textContent).join(" ");
  const inside = element.matches("button, a, summary, option, [role=tab], [role=option]") ? element.textContent : "";
  return [by, element.getAttribute("aria-label"), labels, inside, element.title].find((words) => words?.trim())?.trim() ?? "";
}

export function names() {
  const controls = [...document.querySelectorAll("button, a[href], input, select, textarea, summary, dialog[open], [role=tablist], [role=tabpanel], [role=slider], [role=listbox], [role=radiogroup], [tabindex='0'], aside, section, nav, meter")];
  return controls.filter(shown).filter((element) => !nameOf(element)).map(told);
}

export function references() {
  const found = [];
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`id ${id} twice`);
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls", "aria-activedescendant", "for", "list"]) {
    for (const element of document.querySelectorAll(`[${attribute}]:not(dialog:not([open]))`)) {
      for (const id of element.getAttribute(attribute).split(/\s+/)) if (!document.getElementById(id)) found.push(`${told(element)}: ${attribute} leads nowhere (${id})`);
    }
  }
  return found;
}

export function headings() {
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].filter(shown).map((element) => Number(element.localName[1]));
  if (levels[0] !== 1) return [`begins with h${levels[0]}`];
  return levels.flatMap((level, index) => (index && level > levels[index - 1] + 1 ? [`h${levels[index - 1]} is followed by h${level}`] : []));
}

export function targets() {
  const small = [...document.querySelectorAll("button, a[href], select, input:not([type=radio], [type=checkbox])")].filter(shown).filter((element) => {
    const { width, height } = element.getBoundingClientRect();
    return width > 2 && (width < 24 || height < 24);
  });
  return small.filter((element) => !element.matches("p a, .call-name a")).map(told);
}

// --------------------------------------------------------------------------------------------- contrast

const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

/** Any CSS colour as [r, g, b, alpha]. */
function colour(css) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = css;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}

const over = ([r, g, b, a], below) => [r, g, b].map((part, index) => part * a + below[index] * (1 - a));

function background(element) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const layer = colour(getComputedStyle(at).backgroundColor);
    if (layer[3] > 0) layers.unshift(layer);
    if (layer[3] === 1) break;
  }
  return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export function contrast() {
  const found = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !shown(element) || element.closest(":disabled, .unseen, option, svg")) continue;
    const style = getComputedStyle(element);
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    const below = background(element);
    const [r, g, b, a] = colour(style.color);
    const [light, dark] = [luminance(over([r, g, b, a * opacity], below)), luminance(below)].sort((one, other) => other - one);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.set(told(element), `${ratio.toFixed(2)}: ${told(element)}`);
  }
  return [...found.values()];
}
