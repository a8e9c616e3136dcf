// Before anything is drawn, so that no page flashes in the other scheme.
"use strict";
try {
  const theme = localStorage.getItem("fer_bench.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's scheme counts.
}
