// The page: searches, what they found, and keys.
import { address, asked, isNothing, isSame, isSameButForCount, parameters, STEPS } from "./address.js";
import { refuseUnreadable, showDrop, takeFiles, whyTooLarge } from "./files.js";
import { ask, clock, counted, element, name } from "./parts.js";
import { HitCard } from "./hit.js";

const $ = (id) => document.getElementById(id);
const sounds = new Map(); // what was chosen or dropped, by a key in the history: an address cannot hold it
let cards = [];
let shown = null; // the search that is on the page
let liked = null; // what its sounds are like
let running = null;
let heard = { key: null, player: null }; // the sound that is searched by

// ---- what is asked for

const go = (search) => {
  if (!isSame(search, asked()) || location.hash) history.pushState({ sound: search.key || "" }, "", address(search));
  scrollTo(0, 0);
  run(asked(), { again: true });
};

// ---- the search

const run = async (search, { again = false } = {}) => {
  const goesOn = isSameButForCount(search, shown);
  $("q").value = search.q;
  $("not").value = search.not;
  showLikes(search, goesOn ? liked : null);
  if (running) running.abort();
  running = null;
  showBusy(false);
  if (isSame(search, shown) && !again) {
    $("error").hidden = true;
    focusLinked();
    return;
  }
  document.title = `${search.q || search.sound || (search.like && "More like this") || "Sound search"} – atrkit`;
  if (isNothing(search)) { showStart(search); return; }
  if (search.sound && !sounds.has(search.key)) {
    clear(search);
    showError(`The sound ${search.sound} is not kept over a reload: choose it or drop it again.`);
    return;
  }
  const mine = running = new AbortController();
  const isSlow = setTimeout(() => { if (running === mine) $("status").textContent = "Searching …"; }, 250);
  showBusy(true);
  $("start").hidden = true;
  $("error").hidden = true;
  try {
    const found = await (search.sound ? askBySound(search, mine.signal) : ask(`/api/search?${parameters(search)}`, { signal: mine.signal }));
    if (running === mine) show(search, found);
  } catch (error) {
    if (running !== mine) return;
    if (!goesOn) clear(null);
    if (error.name === "AbortError") $("status").textContent = "The search was stopped.";
    else showError(error.message, error.status < 500 ? null : search); // else no use in asking again
  } finally {
    clearTimeout(isSlow);
    if (running === mine) {
      running = null;
      showBusy(false);
    }
  }
};

const askBySound = async (search, signal) => {
  const query = parameters({ ...search, sound: "" });
  const body = sounds.get(search.key).file;
  await refuseUnreadable(body);
  return ask(`/api/search-by-sound?${query}`, { method: "POST", body, signal, headers: { "Content-Type": "application/octet-stream" } });
};

// ---- what is shown

const showBusy = (isBusy) => {
  $("results").setAttribute("aria-busy", isBusy);
  document.body.classList.toggle("busy", isBusy);
};

const clear = (search) => {
  for (const card of cards) card.close();
  cards = [];
  shown = search;
  $("results").replaceChildren();
  for (const id of ["notes", "error", "start", "more"]) $(id).hidden = true;
  $("status").textContent = "";
};

// where only their number is another, those that are there stay and go on playing
const areKept = (search, hits) => isSameButForCount(search, shown) && search.k !== shown.k
  && cards.every((card, at) => at >= hits.length || JSON.stringify(card.hit) === JSON.stringify(hits[at]));

const show = (search, found) => {
  const isMore = isSameButForCount(search, shown) && search.k > shown.k;
  if (areKept(search, found.results)) {
    for (const card of cards.splice(found.results.length)) {
      card.close();
      card.item.remove();
    }
    shown = search;
  } else clear(search);
  if (about && found.files !== about.files) showAbout(); // the index was brought up to date
  liked = found.like;
  showLikes(search, liked);
  const count = found.results.length;
  $("status").textContent = count
    ? `${counted(count, "sound", "sounds")}, the best first, in ${Math.max(1, Math.round(found.seconds * 1000))} ms`
    : "Nothing was found: the index holds no other sound.";
  const { files = 1 } = sounds.get(search.key) || {};
  const notes = [...(files > 1 ? [`of ${files} files only the first is searched by`] : []), ...found.notes];
  $("notes").replaceChildren(...notes.map((note) => element("li", {}, note)));
  $("notes").hidden = !notes.length;
  const before = cards.length;
  const added = found.results.slice(before).map((hit, at) => new HitCard(hit, before + at + 1, {
    like: (start_s) => address({ like: `${hit.id}@${start_s}`, k: STEPS[0] }),
    link: search.sound ? null : `${address(search)}#hit-${hit.id}`, // an address cannot hold the sound
  }));
  cards.push(...added);
  $("results").append(...added.map((card) => card.item));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      cards.find((card) => card.item === entry.target)?.draw();
    }
  }, { rootMargin: "300px" });
  for (const card of added) seen.observe(card.item);
  const next = STEPS.find((step) => step > search.k);
  $("more").hidden = !(next && count >= search.k);
  if (!$("more").hidden) $("more").replaceChildren(element("a", { href: address({ ...search, k: next }), "data-go": true }, `Show ${next}`));
  if (isMore && added.length) focusOn(added[0]); else focusLinked();
};

const focusOn = (card) => {
  card.item.focus({ preventScroll: true });
  card.item.scrollIntoView({ block: "nearest" });
};

const focusLinked = () => {
  if (!location.hash.startsWith("#hit-")) return;
  const linked = cards.find((card) => `#${card.item.id}` === location.hash);
  if (linked) linked.item.focus();
  else if (cards.length) $("status").textContent += ". The sound that the link leads to is not among them any more.";
};

const showLikes = (search, like) => {
  const chips = [];
  const chip = (words, without, label, ...rest) => element("p", { class: "chip" }, element("span", {}, ...words), ...rest,
    element("a", { href: address(without), "data-go": true, class: "off", "aria-label": label }, "×"));
  if (search.like) {
    const words = like ? ["like ", name(like.name), ` at ${clock(like.start_s)}`] : ["like another sound"];
    chips.push(chip(words, { ...search, like: "" }, "Do not search by that sound"));
  }
  if (heard.key !== search.key) {
    if (heard.player) URL.revokeObjectURL(heard.player.src);
    heard = { key: search.key, player: sounds.has(search.key) ? playerOf(search) : null };
  }
  if (search.sound) {
    const words = ["sounds like ", name(search.sound)];
    chips.push(chip(words, { ...search, sound: "", key: "" }, "Do not search by that sound", ...[heard.player].filter(Boolean)));
  }
  $("likes").replaceChildren(...chips);
  $("likes").hidden = !chips.length;
};

const playerOf = ({ key, sound }) => element("audio", {
  src: URL.createObjectURL(sounds.get(key).file), controls: true, preload: "metadata", "aria-label": `Player of ${sound}, which is searched by`,
});

const showError = (message, search = null) => {
  $("error").replaceChildren(element("p", {}, message));
  if (search) {
    const again = element("button", { type: "button" }, "Try again");
    again.addEventListener("click", () => run(search, { again: true }));
    $("error").append(again);
  }
  $("error").hidden = false;
  $("error").scrollIntoView({ block: "nearest" });
};

const showStart = (search) => {
  clear(search);
  const { examples = [] } = about || {};
  const section = $("start");
  section.replaceChildren(element("h2", {}, "Write what you want to hear"),
    element("p", {}, "A sentence finds more than a word: say what sounds, and where. Or drop a sound file on this page to find others like it."));
  if (examples.length) {
    section.append(element("p", { class: "note", id: "try" }, "For example"), element("ul", { class: "examples", "aria-labelledby": "try" },
      ...examples.map((text) => element("li", {}, element("a", { href: address({ q: text, k: STEPS[0] }), "data-go": true }, text)))));
  }
  section.hidden = false;
};

// ---- a sound to search by

const searchBySound = (files) => {
  const [file] = files;
  if (whyTooLarge(file)) {
    showError(whyTooLarge(file));
    return;
  }
  const key = `${Date.now()}-${sounds.size}`;
  sounds.set(key, { file, files: files.length });
  go({ q: "", not: "", like: "", sound: file.name.slice(0, 200), key, k: STEPS[0] }); // words may be added to it
};

takeFiles(searchBySound);

// ---- words, links, keys

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const now = asked();
  go({ ...now, q: $("q").value.trim(), not: $("not").value.trim(), k: STEPS[0] });
});
$("q").addEventListener("search", () => { if (!$("q").value && shown && !isNothing(shown)) go({ ...asked(), q: "" }); });

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-go]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const { key } = asked();
  const target = new URL(link.href);
  history.pushState({ sound: target.searchParams.get("sound") ? key : "" }, "", target.pathname + target.search);
  if (!isSameButForCount(asked(), shown)) scrollTo(0, 0);
  run(asked());
});
addEventListener("popstate", () => run(asked()));

const cardOf = (node) => cards.find((card) => card.item.contains(node));
const move = (step) => {
  const at = cards.indexOf(cardOf(document.activeElement));
  if (at < 0 && step < 0) return false;
  const next = at + step;
  if (next < 0) $("q").focus();
  else if (next < cards.length) focusOn(cards[next]);
  return true;
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const at = event.target;
  const isText = at.matches("input:not([type=range]), textarea");
  const card = cardOf(at);
  switch (event.key) {
    case "/":
      if (isText) return;
      $("q").focus();
      $("q").select();
      break;
    case "ArrowDown":
    case "ArrowUp":
      if (at.matches("audio") || !cards.length || !move(event.key === "ArrowDown" ? 1 : -1)) return;
      break;
    case "ArrowLeft":
    case "ArrowRight":
      if (!card || at.matches("input")) return;
      card.seek(card.place + (event.key === "ArrowRight" ? 1 : -1));
      break;
    case " ": {
      if (isText || at.matches("button, a, summary, audio")) return;
      const wanted = card || HitCard.playing || cards[0];
      if (!wanted) return;
      wanted.toggle();
      break;
    }
    case "Escape":
      showDrop(false);
      if (running) running.abort();
      if (HitCard.playing && !HitCard.playing.audio.paused) HitCard.playing.audio.pause();
      else if (isText) at.blur();
      else return;
      break;
    default:
      return;
  }
  event.preventDefault();
});

// one player at a time, the one of the sound that is searched by included; "play" does not bubble
document.addEventListener("play", (event) => {
  for (const card of cards) if (card.audio !== event.target) card.close();
  for (const player of $("likes").querySelectorAll("audio")) if (player !== event.target) player.pause();
}, true);

// ---- the start

let about = null;
const showAbout = async () => {
  try {
    about = await ask("/api/about");
    $("about").textContent = `${counted(about.files, "sound", "sounds")} in ${about.index}, ${about.model}`;
    if (shown && isNothing(shown)) showStart(shown);
  } catch (error) {
    showError(error.message);
  }
};
$("home").addEventListener("click", (event) => {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go({ q: "", not: "", like: "", sound: "", key: "", k: STEPS[0] });
  $("q").focus();
});
run(asked());
showAbout();
if (isNothing(asked()) && matchMedia("(hover: hover)").matches) $("q").focus();
