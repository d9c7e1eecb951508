// Applies the chosen theme and language before the first paint, so that nothing flashes.
(() => {
  const read = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const theme = read("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const spoken = read("language") ?? (navigator.language.toLowerCase().startsWith("ja") ? "ja" : "en");
  document.documentElement.lang = spoken;
})();
