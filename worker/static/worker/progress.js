// Updates the progress of a job until it ends; then reloads the page, which has the actions of an ended job.
"use strict";
{
  const progress = document.getElementById("progress");
  const interval = 1000; // Milliseconds between two requests.
  const poll = async () => {
    try {
      const response = await fetch(progress.dataset.poll, {headers: {Accept: "application/json"}});
      if (response.redirected || response.status === 403) { location.reload(); return; } // The session has ended.
      if (response.ok) {
        const job = await response.json();
        if (job.final) { location.reload(); return; }
        if (progress.innerHTML !== job.html) { progress.innerHTML = job.html; } // Rendered and escaped by our template.
      }
    } catch { /* The server is away: try again. */ }
    setTimeout(poll, interval);
  };
  setTimeout(poll, interval);
}
