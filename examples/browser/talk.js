// Everything a page needs for a call. `/token` is your back end's: server.py beside this file is a small one.

const words = document.querySelector("#words");
const show = (text) => (words.textContent += text);

async function start() {
  const { token, calls } = await (await fetch("/token")).json();
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } });

  const peer = new RTCPeerConnection();
  peer.addTrack(microphone.getAudioTracks()[0], microphone);
  peer.addEventListener("track", ({ streams }) => (document.querySelector("#voice").srcObject = streams[0]));

  const events = peer.createDataChannel("oai-events");
  events.addEventListener("message", ({ data }) => {
    const event = JSON.parse(data);
    if (event.type === "conversation.item.input_audio_transcription.completed") show(`\nYou: ${event.transcript}`);
    if (event.type === "response.created") show("\nvivavoz: ");
    if (event.type === "response.output_audio_transcript.delta") show(event.delta);
    if (event.type === "error") show(`\n(${event.error.message})`);
  });

  await peer.setLocalDescription(await peer.createOffer());
  const answer = await fetch(calls, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp" },
    body: peer.localDescription.sdp,
  });
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });

  document.querySelector("#end").disabled = false;
  document.querySelector("#end").onclick = () => {
    peer.close();
    microphone.getTracks().forEach((track) => track.stop());
    document.querySelector("#end").disabled = true;
  };
}

document.querySelector("#start").addEventListener("click", () => start().catch((error) => show(`\n${error.message}`)));
