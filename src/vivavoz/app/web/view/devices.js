// Microphones and loudspeakers to choose from.

import { t } from "../words/words.js";
import { $, fill } from "./dom.js";

/** Shown only where there is a choice and the browser tells the devices' names. `microphone`: the stream in use. */
export async function listDevices(microphone) {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  const named = (kind) => devices.filter((device) => device.kind === kind && device.deviceId);
  const inputs = named("audioinput");
  const current = microphone?.getAudioTracks()[0].getSettings().deviceId ?? $("device").value;
  fill($("device"), inputs.map(({ deviceId, label }) => [deviceId, label || t("microphone")]), current);
  $("picker").hidden = inputs.length < 2;
  const outputs = named("audiooutput");
  fill($("speaker"), outputs.map(({ deviceId, label }) => [deviceId, label || t("speaker")]));
  $("speaker-picker").hidden = outputs.length < 2 || !$("voice").setSinkId;
}
