// The list of studies: up and down go through the rows.
const rows = () => [...document.querySelectorAll("#studies tbody tr a, .grid a")];

document.addEventListener("cspine-key", (event) => {
	const step = { ArrowUp: -1, ArrowDown: 1 }[event.detail];
	if (!step) return;
	const all = rows();
	const at = all.indexOf(document.activeElement);
	all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))]?.focus();
	event.preventDefault();
});
