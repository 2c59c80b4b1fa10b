// One result: its words, its picture, and its player.
import { ask, clock, drawing, element, name } from "./parts.js";

const PLAY = "M8 5.5v13l11-6.5z";
const PAUSE = "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z";
const GONE = "This file is gone or changed since it was indexed. atrkit index brings the index up to date.";
const FLAT = Array(160).fill(0);

const bars = (peaks) => peaks.map((peak, at) => {
  const half = Math.max(0.6, peak * 0.22);
  return `M${at * 2 + 1} ${(24 - half).toFixed(1)}V${(24 + half).toFixed(1)}`;
}).join("");

const picture = (peaks, kind) =>
  drawing({ class: kind, viewBox: "0 0 320 48", preserveAspectRatio: "none" }, bars(peaks));

export class HitCard {
  static playing = null;

  constructor(hit, place, addresses) {
    this.hit = hit;
    this.length = Math.max(0.01, hit.end_s - hit.start_s);
    this.where = `${clock(hit.start_s)}–${clock(hit.end_s)}`;
    this.item = element("li", { class: "hit", id: `hit-${hit.id}`, tabindex: "-1", "aria-labelledby": `about-${hit.id}` });
    this.item.append(this.#player(), this.#words(addresses), this.#picture(), this.#score(place));
    if (!hit.is_there) this.say(GONE);
  }

  // ---- what is seen

  #player() {
    this.button = element("button", { class: "play", type: "button", disabled: !this.hit.is_there });
    this.button.addEventListener("click", () => this.toggle());
    this.audio = element("audio", { preload: "none", "aria-label": `Player of ${this.hit.name}` });
    for (const event of ["play", "pause", "ended", "emptied"]) this.audio.addEventListener(event, () => this.#showState());
    for (const event of ["timeupdate", "seeked", "loadedmetadata"]) this.audio.addEventListener(event, () => this.#showTime());
    this.audio.addEventListener("waiting", () => this.item.classList.add("waits"));
    for (const event of ["playing", "emptied"]) this.audio.addEventListener(event, () => this.item.classList.remove("waits"));
    this.audio.addEventListener("loadedmetadata", () => { // somebody may seek before the file is known
      if (Math.abs(this.audio.currentTime - this.start) > 0.05) this.audio.currentTime = this.start;
    });
    this.audio.addEventListener("error", () => this.#explain());
    this.#showState();
    return element("div", { class: "player" }, this.button, this.audio);
  }

  #words({ like, link }) {
    const { hit } = this;
    const about = element("div", { class: "what", id: `about-${hit.id}` });
    if (hit.caption) about.append(element("p", { class: "caption" }, hit.caption));
    const where = element("p", { class: "where" }, name(hit.name, hit.caption ? "name" : "name alone"));
    if (hit.folder) where.append(" ", element("span", { class: "folder" }, "in ", name(hit.folder, "path")));
    about.append(where);
    const facts = element("p", { class: "facts" }, element("span", { class: "time" }, this.where));
    if (hit.duration_s > this.length + 0.5) facts.append(element("span", {}, `of ${clock(hit.duration_s)}`));
    if (hit.windows > 1) facts.append(element("span", {}, `${hit.windows} places fit`));
    const links = element("span", { class: "links" },
      element("a", { href: like, "data-go": true, "aria-label": `More like ${hit.name}` }, "More like this"),
      element("a", { href: link, class: "link", "aria-label": `Link to ${hit.name} in these results` }, "Link"));
    facts.append(links);
    this.message = element("p", { class: "message", role: "status" });
    const what = element("div", { class: "words" }, about, facts, this.message);
    const folded = hit.captions.slice(1);
    if (folded.length || hit.copies.length) {
      const list = element("ul", {}, ...folded.map((caption) => element("li", {}, caption)),
        ...hit.copies.map((copy) => element("li", {}, "also as ", name(copy, "path"))));
      const labels = [];
      if (folded.length) labels.push(`${folded.length} more ${folded.length === 1 ? "caption" : "captions"}`);
      if (hit.copies.length) labels.push(`${hit.copies.length} ${hit.copies.length === 1 ? "copy" : "copies"}`);
      what.append(element("details", {}, element("summary", {}, labels.join(", ")), list));
    }
    return what;
  }

  #picture() {
    const { hit } = this;
    this.played = element("div", { class: "played" }, picture(FLAT, "wave"));
    this.slider = element("div", {
      class: "window", role: "slider", tabindex: hit.is_there ? "0" : null, "aria-label": `Place in ${hit.name}`,
      "aria-valuemin": hit.start_s, "aria-valuemax": hit.end_s, "aria-disabled": hit.is_there ? null : "true",
    }, picture(FLAT, "wave"), this.played);
    const seek = (event) => {
      const box = this.slider.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      this.seek(hit.start_s + share * this.length);
    };
    this.slider.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !hit.is_there) return;
      this.slider.setPointerCapture(event.pointerId);
      seek(event);
    });
    this.slider.addEventListener("pointermove", (event) => { if (event.buttons & 1 && hit.is_there) seek(event); });
    this.now = element("span", { class: "now" });
    const sound = element("div", { class: "sound" }, this.slider);
    if (hit.duration_s > this.length + 0.5) {
      this.whole = element("input", {
        class: "whole", type: "range", min: 0, max: hit.duration_s, step: 0.1, disabled: !hit.is_there,
        "aria-label": `Place in the whole of ${hit.name}`,
      });
      this.whole.style.setProperty("--from", `${(100 * hit.start_s) / hit.duration_s}%`);
      this.whole.style.setProperty("--to", `${(100 * hit.end_s) / hit.duration_s}%`);
      this.whole.addEventListener("input", () => this.seek(Number(this.whole.value)));
      sound.append(this.whole);
    }
    sound.append(this.now);
    this.#showTime();
    return sound;
  }

  #score(place) {
    return element("p", { class: "score", title: "Cosine of the query and this part of the file" },
      element("span", { class: "unseen" }, `Result ${place}, `), element("span", { class: "label" }, "score "), this.hit.score.toFixed(2));
  }

  async draw() {
    const { hit } = this;
    if (!hit.is_there) return;
    try {
      const { peaks } = await ask(`/api/peaks/${hit.id}?start=${hit.start_s}&end=${hit.end_s}`);
      this.slider.firstElementChild.replaceWith(picture(peaks, "wave"));
      this.played.firstElementChild.replaceWith(picture(peaks, "wave"));
      this.item.classList.add("drawn");
    } catch (error) {
      this.say(error.message);
    }
  }

  say(message) { this.message.textContent = message; }

  // ---- what is heard

  get isOpen() { return this.audio.hasAttribute("src") && !this.audio.error; }
  get start() { return this.wanted ?? this.hit.start_s; } // where it begins when it is opened
  get place() { return this.isOpen ? this.audio.currentTime : this.start; }

  toggle() {
    if (!this.hit.is_there) return;
    if (this.audio.paused) this.play(); else this.audio.pause();
  }

  play() {
    HitCard.playing = this; // the page pauses the others
    if (!this.isOpen) this.#open();
    if (this.audio.ended) this.audio.currentTime = this.hit.start_s;
    this.audio.play().catch((error) => {
      if (error.name === "NotAllowedError") this.say("The browser wants a click before it plays.");
    });
  }

  seek(seconds) {
    if (!this.hit.is_there) return;
    this.wanted = Math.min(Math.max(0, seconds), this.hit.duration_s);
    if (this.isOpen) this.audio.currentTime = this.wanted;
    this.#showTime();
  }

  #open() {
    this.say("");
    this.audio.src = `/api/audio/${this.hit.id}`;
    this.audio.currentTime = this.start;
  }

  // a player that is only paused keeps its connection, and browsers have six for a server: the seventh would wait for ever
  close() {
    if (!this.isOpen) return;
    this.wanted = this.audio.ended ? undefined : this.audio.currentTime;
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  #showState() {
    const isPlaying = !this.audio.paused && !this.audio.ended;
    this.button.replaceChildren(drawing({ viewBox: "0 0 24 24" }, isPlaying ? PAUSE : PLAY));
    this.#nameButton();
    this.item.classList.toggle("plays", isPlaying);
  }

  #nameButton() {
    const { name } = this.hit;
    const label = this.audio.paused ? `Play ${name} from ${clock(this.place)}` : `Pause ${name}`;
    if (this.button.getAttribute("aria-label") !== label) this.button.setAttribute("aria-label", label);
  }

  #showTime() {
    const place = this.place;
    const share = Math.min(1, Math.max(0, (place - this.hit.start_s) / this.length));
    this.slider.style.setProperty("--played", `${100 * share}%`);
    const inside = Math.min(Math.max(place, this.hit.start_s), this.hit.end_s);
    this.slider.setAttribute("aria-valuenow", inside.toFixed(1));
    this.slider.setAttribute("aria-valuetext", clock(inside));
    if (this.whole) {
      this.whole.value = place;
      this.whole.setAttribute("aria-valuetext", clock(place));
    }
    this.now.textContent = clock(place);
    this.#nameButton();
  }

  async #explain() {
    this.item.classList.remove("waits");
    try {
      await ask(`/api/audio/${this.hit.id}`, { headers: { Range: "bytes=0-0" } });
    } catch (error) {
      this.say(error.status < 300 ? "This browser cannot play this file." : error.message);
    }
  }
}
