// The profiles as the server holds them. To read: they are files, changed where they live.

import { listProfiles } from "../net/api.js";
import { t } from "../words/words.js";
import { $, h } from "./dom.js";
import { jsonNodes } from "./json.js";

export class Profiles {
  constructor() {
    this.list = h("div", { class: "profile-list" });
    this.state = h("p", { class: "nothing", role: "status" });
    $("view-profiles").append(h("div", { class: "page" }, h("h2", {}, t("viewProfiles")), h("p", { class: "small" }, t("profilesText")), this.state, this.list));
  }

  async show(info) {
    this.state.textContent = t("loadingList");
    try {
      const profiles = await listProfiles();
      this.list.replaceChildren(...profiles.map((profile) => card(profile, profile.name === info?.default_profile)));
      this.state.textContent = profiles.length ? "" : t("profilesNone");
    } catch (error) {
      this.list.replaceChildren();
      this.state.textContent = t("failedWith", { message: error.detail || t(error.kind) });
    }
  }
}

function card(profile, isDefault) {
  const session = profile.session ?? {};
  const facts = [
    ["profileModel", session.model], ["field_output_voice", session.audio?.output?.voice],
    ["profileTools", (profile.tools ?? []).join(", ")], ["profileRecord", profile.record === true ? t("yes") : profile.record === false ? t("no") : null],
    ["profileLanguages", (profile.languages ?? []).join(", ")],
  ].filter(([, value]) => value);
  return h("article", { class: "profile" },
    h("h3", {}, profile.title || profile.name, isDefault ? h("span", { class: "tag" }, t("profileDefault")) : null),
    profile.title ? h("p", { class: "small" }, profile.name) : null,
    session.instructions ? h("p", { class: "prompt" }, session.instructions) : null,
    h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, t(name)), h("dd", {}, typeof value === "string" ? value : JSON.stringify(value))])),
    h("details", { class: "fold" }, h("summary", {}, t("asJson")), h("pre", { class: "json", tabindex: "0", "aria-label": t("asJson") }, jsonNodes(profile))));
}
