// How far runs are that are under way.
for (const panel of document.querySelectorAll("[data-live]")) {
	const news = new EventSource(panel.dataset.live);
	news.addEventListener("progress", (event) => {
		const run = JSON.parse(event.data);
		for (const step of run.steps) {
			const row = panel.querySelector(`tr[data-step="${CSS.escape(step.step)}"]`);
			if (!row) continue;
			const bar = row.querySelector("progress");
			bar.max = step.total;
			bar.value = step.done;
			row.querySelector(".count").textContent = `${step.done} of ${step.total}`;
			row.querySelector(".computed").textContent = step.computed ? `${step.computed} computed, ${step.seconds.toFixed(1)} s of work` : "";
		}
		panel.querySelector(".refused").textContent = run.refused;
	});
	news.addEventListener("end", () => {
		news.close();
		location.assign("/"); // its page is there now
	});
}
