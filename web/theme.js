// Before the first paint: the theme that was chosen, if it was.
(() => {
  try {
    const theme = localStorage.getItem('mica.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    // no storage: the system's theme
  }
})();
