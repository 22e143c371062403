// The planes of a volume: pictures of slices that the server draws, on top of each other, and which of them is shown.

export class Plane {
	// layers are the pictures by class, each with a function from the slice's number to its address, or to "" for none.
	constructor(element, layers) {
		this.element = element;
		this.name = element.dataset.plane;
		this.n = Number(element.dataset.n);
		this.at = Number(element.dataset.at);
		this.layers = layers;
		this.stack = element.querySelector(".stack");
		this.range = element.querySelector("input[type=range]");
		this.where = element.querySelector(".where");
		this.stack.style.aspectRatio = `${element.dataset.width} / ${element.dataset.height}`;
		this.listeners = [];
		this.range.addEventListener("input", () => this.show(Number(this.range.value)));
		this.stack.addEventListener("wheel", (event) => {
			event.preventDefault();
			this.show(this.at + Math.sign(event.deltaY));
		}, { passive: false });
		element.addEventListener("pointerenter", () => { Plane.under = this; });
		element.addEventListener("pointerleave", () => { if (Plane.under === this) Plane.under = null; });
		this.stack.addEventListener("pointerdown", (event) => {
			this.stack.setPointerCapture(event.pointerId);
			this.point(event);
		});
		this.stack.addEventListener("pointermove", (event) => { if (event.buttons & 1) this.point(event); });
	}

	// point tells where in the picture a pointer is, from 0 to 1.
	point(event) {
		const box = this.stack.getBoundingClientRect();
		const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
		if (x >= 0 && x < 1 && y >= 0 && y < 1) this.pointed?.(x, y);
	}

	show(at) {
		at = Math.max(0, Math.min(this.n - 1, Math.round(at)));
		this.at = at;
		this.range.value = at;
		this.where.textContent = `${at} of ${this.n}`;
		this.draw();
		for (const tell of this.listeners) tell(at);
	}

	// draw asks for the pictures of the slice, and for the ones beside it, which are looked at next.
	draw() {
		for (const [name, address] of Object.entries(this.layers)) {
			const img = this.stack.querySelector("img." + name);
			const src = address(this.at);
			if (!src) {
				img.hidden = true;
				continue;
			}
			img.hidden = false;
			if (img.getAttribute("src") !== src) img.src = src;
		}
		clearTimeout(this.ahead);
		this.ahead = setTimeout(() => {
			for (const at of [this.at + 1, this.at - 1, this.at + 2]) {
				if (at < 0 || at >= this.n) continue;
				for (const address of Object.values(this.layers)) {
					const src = address(at);
					if (src) new Image().src = src;
				}
			}
		}, 120);
	}
}

Plane.under = null;

// arrows moves through the slices of the plane under the pointer, or of the axial one.
export function arrows(planes) {
	document.addEventListener("cspine-key", (event) => {
		const step = { ArrowUp: -1, ArrowDown: 1 }[event.detail];
		if (!step || document.querySelector("dialog[open]")) return;
		const plane = Plane.under ?? planes.axial;
		plane.show(plane.at + step);
		event.preventDefault();
	});
}
