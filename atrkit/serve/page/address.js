// What is asked for stands in the address, so that going back and sending a link work.
export const STEPS = [10, 20, 50, 100];

export const asked = () => {
  const query = new URLSearchParams(location.search);
  const k = Number(query.get("k"));
  return {
    q: (query.get("q") || "").trim(),
    not: (query.get("not") || "").trim(),
    like: query.get("like") || "",
    sound: query.get("sound") || "",
    key: (history.state && history.state.sound) || "",
    k: STEPS.includes(k) ? k : STEPS[0],
  };
};

export const parameters = (search) => {
  const query = new URLSearchParams();
  for (const key of ["q", "not", "like", "sound"]) if (search[key]) query.set(key, search[key]);
  if (search.k !== STEPS[0]) query.set("k", search.k);
  return query.toString();
};

export const address = (search) => `/${parameters(search) ? `?${parameters(search)}` : ""}`;
export const isSame = (a, b) => a && b && address(a) === address(b) && a.key === b.key;
export const isNothing = (search) => !search.q && !search.like && !search.sound;
export const isSameButForCount = (a, b) => a && b && isSame({ ...a, k: b.k }, b);
