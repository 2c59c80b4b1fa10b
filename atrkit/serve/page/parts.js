// Small things that the page is made of. Text from outside only ever becomes text.

export const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
};

// names may be written from right to left, and must not turn what stands beside them
export const name = (text, kind = "name") => element("bdi", { class: kind }, text);

const SVG = "http://www.w3.org/2000/svg";
export const drawing = (attributes, path) => {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ "aria-hidden": "true", ...attributes })) svg.setAttribute(key, value);
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
};

export const clock = (seconds) => {
  const whole = Math.floor(seconds + 1e-6);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
};

export const counted = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

// what went wrong, in words that can be shown
export const ask = async (address, options = {}) => {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is atrkit serve still running?");
  }
  let content = null;
  try { content = await response.json(); } catch (error) { if (error.name === "AbortError") throw error; }
  if (!response.ok || content === null) {
    throw Object.assign(new Error((content && content.error) || `The server answered ${response.status}.`), { status: response.status });
  }
  return content;
};
