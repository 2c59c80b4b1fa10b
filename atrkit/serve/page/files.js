// A sound to search by: chosen, or dropped anywhere on the page.
const $ = (id) => document.getElementById(id);

let depth = 0; // of elements that are dragged over: each tells when it is entered and left
const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
export const showDrop = (isOver) => { depth = isOver ? depth : 0; $("drop").hidden = !isOver; };

export const takeFiles = (use) => {
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    if (file) use(file);
    $("file").value = "";
  });
  addEventListener("dragenter", (event) => { if (hasFiles(event)) { event.preventDefault(); depth += 1; showDrop(true); } });
  addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("dragleave", (event) => { if (hasFiles(event)) { depth -= 1; if (depth <= 0) showDrop(false); } });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    showDrop(false);
    const [file] = event.dataTransfer.files;
    if (file) use(file);
  });
};
