// Keeps a job's progress up to date until the job has ended; then shows the page anew, with the buttons of an ended job.
"use strict";
{
  const shown = document.getElementById("progress");
  const pause = 1000; // Milliseconds between two looks.
  const look = async () => {
    try {
      const answer = await fetch(shown.dataset.poll, {headers: {Accept: "application/json"}});
      if (answer.redirected || answer.status === 403) { location.reload(); return; } // Logged out meanwhile.
      if (answer.ok) {
        const progress = await answer.json();
        if (progress.final) { location.reload(); return; }
        if (shown.innerHTML !== progress.html) { shown.innerHTML = progress.html; } // Our own template's, escaped there.
      }
    } catch { /* The server is away: look again. */ }
    setTimeout(look, pause);
  };
  setTimeout(look, pause);
}
