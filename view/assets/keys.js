// Keys that all pages have. A page's own script listens for "cspine-key" on the document, which comes first and may be taken (preventDefault).

export function typing(event) {
	const of = event.target;
	return of instanceof HTMLInputElement && of.type !== "range" || of instanceof HTMLTextAreaElement || of instanceof HTMLSelectElement;
}

// What a page does not know yet is worked out behind it: it is asked for again, but not under the hands of who types or looks at something.
if (document.querySelector("[data-again]")) {
	setInterval(() => {
		const busy = document.querySelector("dialog[open]") || document.activeElement !== document.body || getSelection().toString();
		if (!busy && !document.hidden) location.reload();
	}, 2500);
}

const help = document.getElementById("help");
document.getElementById("help-open")?.addEventListener("click", () => help.showModal());
document.getElementById("help-close")?.addEventListener("click", () => help.close());

document.addEventListener("keydown", (event) => {
	if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) {
		if (event.key === "Escape") event.target.blur?.();
		return;
	}
	const own = new CustomEvent("cspine-key", { detail: event.key, cancelable: true });
	if (!document.dispatchEvent(own)) {
		event.preventDefault();
		return;
	}
	const range = event.target instanceof HTMLInputElement;
	switch (event.key) {
	case "?":
		if (help.open) help.close(); else help.showModal();
		break;
	case "/":
		document.querySelector("input[type=search]")?.focus();
		event.preventDefault();
		break;
	case "ArrowLeft":
		if (!range) document.getElementById("before")?.click();
		break;
	case "ArrowRight":
		if (!range) document.getElementById("after")?.click();
		break;
	}
});
