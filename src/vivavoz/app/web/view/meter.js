// The grille: a round field of holes, as on a speakerphone. Your voice lights it from the rim inwards, the
// other side from the middle outwards, so that one look tells who is heard, and how loud.

const RINGS = 9;
const FLOOR_DB = -52;

/** How loud a stream is, 0..1 on a scale of decibels. */
class Level {
  #analyser;
  #source;
  #samples;
  #value = 0;

  constructor(context, stream) {
    this.#analyser = new AnalyserNode(context, { fftSize: 1024 });
    this.#source = context.createMediaStreamSource(stream);
    this.#source.connect(this.#analyser);
    this.#samples = new Float32Array(this.#analyser.fftSize);
  }

  read() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    const decibels = 10 * Math.log10(sum / this.#samples.length + 1e-9);
    const now = Math.min(1, Math.max(0, 1 - decibels / FLOOR_DB));
    this.#value = now > this.#value ? now : this.#value * 0.88 + now * 0.12;
    return this.#value;
  }

  close() {
    this.#source.disconnect();
  }
}

function holes() {
  const found = [{ ring: 0, x: 0, y: 0, angle: 0 }];
  for (let ring = 1; ring <= RINGS; ring++) {
    const count = ring * 6;
    for (let i = 0; i < count; i++) {
      const angle = (i / count) * 2 * Math.PI + (ring % 2 ? 0 : Math.PI / count);
      found.push({ ring, x: (Math.cos(angle) * ring) / RINGS, y: (Math.sin(angle) * ring) / RINGS, angle });
    }
  }
  return found;
}

export class Grille {
  #canvas;
  #pen;
  #holes = holes();
  #levels = { you: null, them: null };
  #colours = {};
  #frame = 0;
  #busy = false;
  #shown;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  /** `shown(you, them)` gets the levels, 0..1, whenever they are drawn. */
  constructor(canvas, shown = () => {}) {
    this.#canvas = canvas;
    this.#shown = shown;
    this.#pen = canvas.getContext("2d");
    new ResizeObserver(() => this.#fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#fit());
    this.#fit();
  }

  /** Show `stream` as `who` ("you" or "them"); null stops showing it. */
  listen(who, context, stream) {
    this.#levels[who]?.close();
    this.#levels[who] = stream ? new Level(context, stream) : null;
    this.#run();
  }

  /** While true a light goes round: something is on its way. */
  set waiting(busy) {
    this.#busy = busy;
    this.#run();
  }

  #fit() {
    const style = getComputedStyle(this.#canvas);
    const name = (property) => style.getPropertyValue(property).trim();
    this.#colours = { hole: name("--hole"), you: name("--you"), them: name("--them") };
    const side = this.#canvas.clientWidth * devicePixelRatio;
    this.#canvas.width = this.#canvas.height = Math.max(1, Math.round(side));
    this.#draw(0, 0, performance.now());
  }

  #run() {
    cancelAnimationFrame(this.#frame);
    const step = (now) => {
      const you = this.#levels.you?.read() ?? 0;
      const them = this.#levels.them?.read() ?? 0;
      this.#draw(you, them, now);
      this.#shown(you, them);
      if (this.#levels.you || this.#levels.them || this.#busy) this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  #draw(you, them, now) {
    const pen = this.#pen;
    const half = this.#canvas.width / 2;
    const pitch = half / (RINGS + 0.9);
    pen.clearRect(0, 0, half * 2, half * 2);
    const moves = !this.#still.matches;
    for (const hole of this.#holes) {
      const depth = hole.ring / RINGS;
      const fromRim = this.#reach(you, 1 - depth);
      const fromMiddle = this.#reach(them, depth);
      const sweep = this.#busy ? this.#sweep(hole, moves ? now : 0) : 0;
      const light = Math.max(fromRim, fromMiddle, sweep);
      const radius = pitch * (0.25 + (moves ? 0.17 * light : 0));
      pen.beginPath();
      pen.arc(half + hole.x * RINGS * pitch, half + hole.y * RINGS * pitch, radius, 0, 2 * Math.PI);
      pen.globalAlpha = 1;
      pen.fillStyle = this.#colours.hole;
      pen.fill();
      if (light > 0.02) {
        pen.globalAlpha = Math.min(1, light * 1.4);
        pen.fillStyle = fromRim > fromMiddle ? this.#colours.you : this.#colours.them;
        pen.fill();
      }
    }
    pen.globalAlpha = 1;
  }

  /** How much of a level reaches a hole `distance` (0..1) away from where it enters. */
  #reach(level, distance) {
    return Math.min(1, Math.max(0, (level * 1.15 - distance) * 2.4));
  }

  #sweep(hole, now) {
    const turn = ((now / 1400) % 1) * 2 * Math.PI;
    const behind = (turn - hole.angle + 4 * Math.PI) % (2 * Math.PI);
    return hole.ring < 3 ? 0 : Math.max(0, 0.7 - behind / 2.2);
  }
}
