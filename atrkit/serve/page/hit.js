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
    this.item = element("li", { class: "hit", id: `hit-${hit.id}`, tabindex: "-1", "aria-labelledby": `about-${hit.id}` });
    this.item.append(this.#player(), this.#words(addresses), this.#picture(), this.#score(place));
    this.#lookAt(hit);
    this.#showState();
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
    return element("div", { class: "player" }, this.button, this.audio);
  }

  #words({ like, link }) {
    const { hit } = this;
    this.likeOf = like;
    const about = element("div", { class: "what", id: `about-${hit.id}` });
    if (hit.caption) about.append(element("p", { class: "caption" }, hit.caption));
    const where = element("p", { class: "where" }, name(hit.name, hit.caption ? "name" : "name alone"));
    if (hit.folder) where.append(" ", element("span", { class: "folder" }, "in ", name(hit.folder, "path")));
    about.append(where);
    this.time = element("span", { class: "time" });
    const facts = element("p", { class: "facts" }, this.time);
    if (this.isPart) facts.append(element("span", {}, `of ${clock(hit.duration_s)}`));
    this.like = element("a", { "data-go": true, "aria-label": `More like ${hit.name}` }, "More like this");
    facts.append(element("span", { class: "links" }, this.like, link ? this.#link(link) : null));
    this.message = element("p", { class: "message", role: "status" });
    const what = element("div", { class: "words" }, about, facts, this.#places(), this.message);
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

  #link(address) {
    const link = element("a", { href: address, class: "link", "aria-label": `Copy link to ${this.hit.name} in these results` }, "Copy link");
    link.addEventListener("click", async (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      try {
        await navigator.clipboard.writeText(link.href);
        this.say("The link is copied.", { isGood: true });
      } catch { // browsers let pages copy over HTTPS or from this computer only
        history.pushState(history.state, "", link.href);
        this.say("This browser does not let this page copy. The link stands in the address bar.");
      }
    });
    return link;
  }

  // where else in the file it fits about as well: a click looks and plays there
  #places() {
    const { places, name, is_there } = this.hit;
    this.places = places.map((place) => {
      const [at, score] = [clock(place.start_s), place.score.toFixed(2)];
      const button = element("button", { class: "place", type: "button", disabled: !is_there, "aria-label": `Play ${name} at ${at}, score ${score}` },
        element("span", {}, at, element("small", {}, ` ${score}`)));
      button.addEventListener("click", () => {
        this.#lookAt(place);
        this.draw();
        this.seek(place.start_s);
        this.play();
      });
      return { ...place, button };
    });
    const rule = "Parts of this file with at least nine tenths of the score of the best one; five at most";
    return places.length > 1 ? element("p", { class: "places", title: rule }, element("span", {}, "Best at"), ...this.places.map(({ button }) => button)) : null;
  }

  #picture() {
    const { hit } = this;
    this.played = element("div", { class: "played" }, picture(FLAT, "wave"));
    this.slider = element("div", {
      class: "window", role: "slider", tabindex: hit.is_there ? "0" : null, "aria-label": `Place in ${hit.name}`,
      "aria-disabled": hit.is_there ? null : "true",
    }, picture(FLAT, "wave"), this.played);
    const seek = (event) => {
      const box = this.slider.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      this.seek(this.seen.start_s + share * this.length);
    };
    this.slider.addEventListener("keydown", (event) => this.#slide(event, this.seen.start_s, this.seen.end_s));
    this.slider.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !hit.is_there) return;
      this.slider.setPointerCapture(event.pointerId);
      seek(event);
    });
    this.slider.addEventListener("pointermove", (event) => { if (event.buttons & 1 && hit.is_there) seek(event); });
    this.now = element("span", { class: "now" });
    const sound = element("div", { class: "sound" }, this.slider);
    if (this.isPart) {
      this.whole = element("input", {
        class: "whole", type: "range", min: 0, max: hit.duration_s, step: 0.1, disabled: !hit.is_there,
        "aria-label": `Place in the whole of ${hit.name}`,
      });
      this.whole.addEventListener("input", () => this.seek(Number(this.whole.value)));
      this.whole.addEventListener("keydown", (event) => this.#slide(event, 0, hit.duration_s));
      sound.append(this.whole);
    }
    sound.append(this.now);
    return sound;
  }

  // keys of a slider, in steps that can be heard
  #slide(event, least, most) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || !this.hit.is_there) return;
    const far = Math.max(5, (most - least) / 10);
    const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: far, PageDown: -far };
    if (event.key in steps) this.seek(this.place + steps[event.key]);
    else if (event.key === "Home" || event.key === "End") this.seek(event.key === "Home" ? least : most);
    else return;
    event.preventDefault();
  }

  get isPart() { return this.hit.duration_s > this.hit.end_s - this.hit.start_s + 0.5; }
  get length() { return Math.max(0.01, this.seen.end_s - this.seen.start_s); }

  // the part of the file that is written about and drawn
  #lookAt({ start_s, end_s }) {
    const { duration_s } = this.hit;
    this.seen = { start_s, end_s };
    this.time.textContent = `${clock(start_s)}–${clock(end_s)}`;
    this.like.href = this.likeOf(start_s);
    this.slider.setAttribute("aria-valuemin", start_s);
    this.slider.setAttribute("aria-valuemax", end_s);
    if (this.whole) {
      this.whole.style.setProperty("--from", `${(100 * start_s) / duration_s}%`);
      this.whole.style.setProperty("--to", `${(100 * end_s) / duration_s}%`);
    }
    for (const place of this.places) place.button.ariaCurrent = place.start_s === start_s ? "true" : null;
    this.#showTime();
  }

  #score(place) {
    return element("p", { class: "score", title: "Cosine of the query and this part of the file" },
      element("span", { class: "unseen" }, `Result ${place}, `), element("span", { class: "label" }, "score "), this.hit.score.toFixed(2));
  }

  async draw() {
    const { hit, seen } = this;
    if (!hit.is_there) return;
    try {
      const { peaks } = await ask(`/api/peaks/${hit.id}?start=${seen.start_s}&end=${seen.end_s}`);
      if (seen !== this.seen) return; // of a place that was left meanwhile
      this.slider.firstElementChild.replaceWith(picture(peaks, "wave"));
      this.played.firstElementChild.replaceWith(picture(peaks, "wave"));
      this.item.classList.add("drawn");
    } catch (error) {
      this.say(error.message);
    }
  }

  say(message, { isGood = false } = {}) {
    this.message.textContent = message;
    this.message.classList.toggle("good", isGood);
  }

  // ---- what is heard

  get isOpen() { return this.audio.hasAttribute("src") && !this.audio.error; }
  get start() { return this.wanted ?? this.seen.start_s; } // where it begins when it is opened
  get place() { return this.isOpen ? this.audio.currentTime : this.start; }

  toggle() {
    if (!this.hit.is_there) return;
    if (this.audio.paused) this.play(); else this.audio.pause();
  }

  play() {
    HitCard.playing = this; // the page pauses the others
    if (!this.isOpen) this.#open();
    if (this.audio.ended) this.audio.currentTime = this.seen.start_s;
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
    if (HitCard.playing === this) HitCard.playing = null;
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
    const { start_s, end_s } = this.seen;
    const share = Math.min(1, Math.max(0, (place - start_s) / this.length));
    this.slider.style.setProperty("--played", `${100 * share}%`);
    const inside = Math.min(Math.max(place, start_s), end_s);
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
