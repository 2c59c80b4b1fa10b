"use strict";
(() => {
  const root = document.documentElement;
  const KEY = "atrkit-report-theme";
  const remembered = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* not allowed here: not kept */ } };
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
  const chosen = remembered();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen; // before anything is painted

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      button.textContent = isDark() ? "Light" : "Dark";
      button.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember(root.dataset.theme);
      label();
    });
    systemDark.addEventListener("change", label);
    label();

    // a clip's audio is in the page once; its other players take it from there
    for (const player of document.querySelectorAll("audio[data-same]")) {
      player.setAttribute("src", document.getElementById(player.dataset.same).getAttribute("src"));
      player.hidden = false;
      player.nextElementSibling.remove();
    }
    // only what scrolls is a stop for the keyboard
    const stops = () => {
      for (const each of document.querySelectorAll(".scrolls")) {
        each.tabIndex = each.scrollWidth > each.clientWidth ? 0 : -1;
      }
    };
    addEventListener("resize", stops);
    document.addEventListener("toggle", stops, true); // what was folded away had no width
    stops();

    const opened = () => {
      const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
      const details = target && target.closest("details");
      if (details) details.open = true;
    };
    addEventListener("hashchange", opened);
    opened();
  });

  // one player at a time; "play" does not bubble, so it is caught on its way down
  document.addEventListener("play", (event) => {
    for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
  }, true);

  // paper is white, and what is folded away is printed, too; but the numbers of a chart are what it shows
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")].filter((each) => !each.closest("figure"));
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of folded) each.open = false; });
})();
