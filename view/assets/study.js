// The viewer of one study: three planes with the mask, boxes and places, and the crops enlarged.
import { Plane, arrows } from "./planes.js";

const viewer = document.getElementById("viewer");
const planes = {};
const state = { drawn: false, mask: true, boxes: true, from: "", to: "", huFrom: "", huTo: "" };
const levels = [...document.querySelectorAll("tr[data-box]")].map((row) => ({
	box: row.dataset.box.split(",").map(Number), // row0, row1, column0, column1, slice0, slice1
	places: row.dataset.places.split(",").filter(Boolean).map(Number),
	colour: row.dataset.colour,
}));

function setUp() {
	for (const element of viewer.querySelectorAll(".plane[data-plane]")) {
		const { source, mask, drawn, full, picks } = element.dataset;
		const pick = picks ? picks.split(",").map(Number) : [];
		const plane = new Plane(element, {
			grey: (at) => full
				? `${full}${pick[at]}?from=${state.huFrom || -1000}&to=${state.huTo || 2000}`
				: source + at + (state.from === "" ? "" : `?from=${state.from}&to=${state.to}`),
			mask: (at) => {
				const address = state.drawn ? drawn : mask;
				return address && address + at;
			},
		});
		planes[plane.name] = plane;
	}
	for (const plane of Object.values(planes)) {
		plane.listeners.push(mark);
		plane.pointed = (x, y) => go(plane, x, y);
	}
	arrows(planes);
	for (const button of document.querySelectorAll("#tools [data-key]")) button.addEventListener("click", () => press(button.dataset.key));
	for (const button of document.querySelectorAll("#tools .level")) {
		button.addEventListener("click", () => {
			planes.coronal.show(Number(button.dataset.row));
			planes.sagittal.show(Number(button.dataset.column));
			planes.axial.show(Number(button.dataset.slice));
		});
	}
	const opacity = document.getElementById("opacity");
	const fade = () => { for (const img of viewer.querySelectorAll("img.mask")) img.style.opacity = opacity.value / 100; };
	opacity.addEventListener("input", fade);
	fade();
	for (const plane of Object.values(planes)) plane.draw();
	mark();
	document.addEventListener("cspine-key", (event) => { if (press(event.detail)) event.preventDefault(); });
}

// press does what a key or its button says, and tells whether there is such a one.
function press(key) {
	const button = document.querySelector(`#tools [data-key="${CSS.escape(key)}"]`);
	if (!button) return false;
	switch (key) {
	case "m":
		state.mask = !state.mask;
		for (const img of viewer.querySelectorAll("img.mask")) img.classList.toggle("hidden", !state.mask);
		button.classList.toggle("on", state.mask);
		enlarge.mask = state.mask;
		showEnlarged();
		break;
	case "b":
		state.boxes = !state.boxes;
		button.classList.toggle("on", state.boxes);
		mark();
		break;
	case "t":
		state.drawn = !state.drawn;
		button.classList.toggle("on", state.drawn);
		for (const plane of Object.values(planes)) plane.draw();
		break;
	default:
		for (const other of document.querySelectorAll("#tools .window")) other.classList.toggle("on", other === button);
		state.from = button.dataset.from;
		state.to = button.dataset.to;
		state.huFrom = button.dataset.huFrom ?? "";
		state.huTo = button.dataset.huTo ?? "";
		for (const plane of Object.values(planes)) plane.draw();
	}
	return true;
}

// go brings the other planes to what was pointed at.
function go(plane, x, y) {
	const { axial, sagittal, coronal } = planes;
	switch (plane) {
	case axial:
		sagittal.show(x * sagittal.n - .5);
		coronal.show(y * coronal.n - .5);
		break;
	case sagittal:
		coronal.show(x * coronal.n - .5);
		axial.show(y * axial.n - .5);
		break;
	case coronal:
		sagittal.show(x * sagittal.n - .5);
		axial.show(y * axial.n - .5);
	}
}

// axes says which sides of a box lie across and which down a plane, and which through it.
const axes = { axial: { x: 2, y: 0, z: 4 }, sagittal: { x: 0, y: 4, z: 2 }, coronal: { x: 2, y: 4, z: 0 } };

// mark draws in each plane where the others are cut, and the boxes that it goes through with their places.
function mark() {
	const { axial, sagittal, coronal } = planes;
	const cuts = { axial: [sagittal.at, coronal.at], sagittal: [coronal.at, axial.at], coronal: [sagittal.at, axial.at] };
	for (const plane of Object.values(planes)) {
		const svg = plane.stack.querySelector("svg");
		const { width, height } = svg.viewBox.baseVal;
		svg.replaceChildren();
		const add = (kind, attributes) => {
			const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
			for (const [name, value] of Object.entries({ fill: "none", "vector-effect": "non-scaling-stroke", ...attributes })) element.setAttribute(name, value);
			svg.append(element);
		};
		const [x, y] = cuts[plane.name];
		add("line", { x1: x + .5, x2: x + .5, y1: 0, y2: height, stroke: "#ffffff", "stroke-opacity": .28 });
		add("line", { x1: 0, x2: width, y1: y + .5, y2: y + .5, stroke: "#ffffff", "stroke-opacity": .28 });
		if (!state.boxes) continue;
		const of = axes[plane.name];
		for (const { box, places, colour } of levels) {
			if (plane.at < box[of.z] || plane.at >= box[of.z + 1]) continue;
			add("rect", { x: box[of.x], y: box[of.y], width: box[of.x + 1] - box[of.x], height: box[of.y + 1] - box[of.y], stroke: colour, "stroke-width": 1.4, class: "box" });
			if (plane === axial) continue;
			for (const place of places) add("line", { x1: box[of.x + 1] + 1, x2: box[of.x + 1] + 4, y1: place + .5, y2: place + .5, stroke: colour, "stroke-width": 1.2 });
		}
	}
}

// A crop enlarged.
const dialog = document.getElementById("enlarged");
const enlarge = { crop: null, place: 0, mask: true };

function showEnlarged() {
	if (!dialog?.open) return;
	const { crop, level, name } = enlarge.crop.dataset;
	dialog.querySelector("h3").textContent = `${name}, place ${enlarge.place + 1} of 15`;
	dialog.querySelector("img").src = `/crops/${crop}/${enlarge.place}?level=${level}` + (enlarge.mask ? "" : "&mask=no");
}

if (dialog) {
	for (const img of document.querySelectorAll("img.crop")) {
		img.addEventListener("click", (event) => {
			const box = img.getBoundingClientRect();
			enlarge.crop = img;
			enlarge.place = Math.max(0, Math.min(14, Math.floor((event.clientX - box.left) / box.width * 15)));
			dialog.showModal();
			showEnlarged();
		});
	}
	document.getElementById("enlarged-close").addEventListener("click", () => dialog.close());
	document.addEventListener("cspine-key", (event) => {
		const step = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -1, ArrowRight: 1 }[event.detail];
		if (!step || !dialog.open) return;
		enlarge.place = Math.max(0, Math.min(14, enlarge.place + step));
		showEnlarged();
		event.preventDefault();
	});
}

if (viewer) setUp();
