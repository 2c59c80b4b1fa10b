// A sound to search by: chosen, or dropped anywhere on the page.
const $ = (id) => document.getElementById(id);
const LARGEST_BYTES = 100_000_000; // that the server takes

let depth = 0; // of elements that are dragged over: each tells when it is entered and left
const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
export const showDrop = (isOver) => { depth = isOver ? depth : 0; $("drop").hidden = !isOver; };

export const takeFiles = (use) => {
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    const files = [...$("file").files];
    if (files.length) use(files);
    $("file").value = "";
  });
  addEventListener("dragenter", (event) => { if (hasFiles(event)) { event.preventDefault(); depth += 1; showDrop(true); } });
  addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("dragleave", (event) => { if (hasFiles(event)) { depth -= 1; if (depth <= 0) showDrop(false); } });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    showDrop(false);
    const files = [...event.dataTransfer.files];
    if (files.length) use(files);
  });
};

export const whyTooLarge = ({ name, size }) => (size > LARGEST_BYTES
  ? `${name} has ${(size / 1e6).toFixed(0)} MB; a sound to search by has at most ${LARGEST_BYTES / 1e6} MB. Its first two minutes are enough.` : null);

// sending what cannot be read fails as if there were no server
export const refuseUnreadable = async (file) => {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    const message = `${file.name} cannot be read: it is a folder, or was changed or moved since it was given to this page. Choose it or drop it again.`;
    throw Object.assign(new Error(message), { status: 400 });
  }
};
