// The volume in three dimensions, by NiiVue. It is drawn when it is asked for: without a graphics processor it takes seconds.
const panel = document.getElementById("volume");
const open = document.getElementById("volume-open");
const where = panel?.querySelector(".where");

open?.addEventListener("click", async () => {
	open.disabled = true;
	where.textContent = "loading …";
	try {
		await draw();
		open.remove();
		where.textContent = "turn it with the pointer";
		panel.dataset.ready = "yes";
	} catch (error) {
		open.disabled = false;
		where.textContent = "";
		open.textContent = "it could not be drawn: " + error.message + "; try again";
	}
});

async function draw() {
	const { Niivue, NVImage } = await import(panel.dataset.library);
	const stack = document.getElementById("volume-stack");
	stack.style.aspectRatio = "1";
	stack.classList.remove("hidden");
	document.getElementById("volume-tools").classList.remove("hidden");
	const nv = new Niivue({ backColor: [0, 0, 0, 1], show3Dcrosshair: false, isColorbar: false, dragAndDropEnabled: false, logLevel: "error" });
	await nv.attachToCanvas(document.getElementById("volume-canvas"));
	const list = [{ url: panel.dataset.volume, name: "volume.nii", colormap: "gray", cal_min: 60, cal_max: 255 }];
	if (panel.dataset.mask) list.push({ url: panel.dataset.mask, name: "mask.nii", opacity: .9 });
	await nv.loadVolumes(list);
	if (panel.dataset.mask) {
		const colours = [...document.querySelectorAll("tr[data-level]")].map((row) => row.querySelector("rect").getAttribute("fill"));
		const part = (from) => [0, ...colours.map((c) => parseInt(c.slice(from, from + 2), 16))];
		nv.volumes[1].setColormapLabel({
			R: part(1), G: part(3), B: part(5), A: [0, ...colours.map(() => 255)], I: [0, ...colours.map((_, i) => i + 1)],
			labels: ["", ...colours.map((_, i) => "C" + (i + 1))],
		});
	}
	nv.updateGLVolume();
	nv.setSliceType(nv.sliceTypeRender);
	nv.setRenderAzimuthElevation(110, 12);
	for (const button of document.querySelectorAll("#volume-tools [data-view]")) {
		button.addEventListener("click", () => {
			for (const other of document.querySelectorAll("#volume-tools [data-view]")) other.classList.toggle("on", other === button);
			nv.setSliceType(button.dataset.view === "render" ? nv.sliceTypeRender : nv.sliceTypeMultiplanar);
		});
	}
}
