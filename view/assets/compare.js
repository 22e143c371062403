// Two masks of a study: the one, the other, both, or by turns.
import { Plane, arrows } from "./planes.js";

const planes = {};
for (const element of document.querySelectorAll(".plane[data-plane]")) {
	const { source, a, b } = element.dataset;
	const plane = new Plane(element, { grey: (at) => source + at, a: (at) => a + at, b: (at) => b + at });
	planes[plane.name] = plane;
	plane.draw();
}
arrows(planes);

let blinking = 0, shown = "b";

function show(what) {
	clearInterval(blinking);
	for (const button of document.querySelectorAll("#tools [data-show]")) button.classList.toggle("on", button.dataset.show === what);
	if (what === "blink") {
		blinking = setInterval(() => layers(shown === "a" ? "b" : "a"), 600);
		return;
	}
	layers(what);
}

function layers(what) {
	shown = what;
	for (const img of document.querySelectorAll(".stack img.a, .stack img.b")) {
		const of = img.classList.contains("a") ? "a" : "b";
		img.classList.toggle("hidden", what !== "both" && what !== of);
		img.style.opacity = what === "both" && of === "a" ? .45 : .85;
	}
}

for (const button of document.querySelectorAll("#tools [data-show]")) button.addEventListener("click", () => show(button.dataset.show));
document.addEventListener("cspine-key", (event) => {
	switch (event.detail) {
	case "t":
		show(shown === "a" ? "b" : "a");
		break;
	case "m":
		for (const img of document.querySelectorAll(".stack img.a, .stack img.b")) img.classList.toggle("hidden");
		break;
	default:
		return;
	}
	event.preventDefault();
});
show("b");
